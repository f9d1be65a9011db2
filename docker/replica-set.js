// Makes three mongods one replica set and gives it its two users; run by mongosh (compose.yaml).
//
// It must run where 127.0.0.1 is the first member. A mongod with a key file refuses everybody, but
// as long as it has no user it lets a client from its own machine initiate the set and create the
// first user (the "localhost exception"). Each step is skipped where it was done, so it may be
// interrupted anywhere and run again at any time; that is also how the portal's password is changed.

const AUTHENTICATION_FAILED = 18;
const NOT_YET_INITIALIZED = 94;
const ALREADY_INITIALIZED = 23;
const UNAUTHORIZED = 13;
const PATIENCE_SECONDS = 120;

const { REPLICA_SET, MEMBERS, MONGO_ADMIN_PASSWORD, MONGO_PORTAL_PASSWORD, MASTER_DB, TENANT_DB } =
  process.env;
const members = MEMBERS.split(",");
const administrator = { user: "admin", pwd: MONGO_ADMIN_PASSWORD, roles: ["root"] };
const portal = { user: "portal", pwd: MONGO_PORTAL_PASSWORD, roles: ["portal"] };
// By `make settings`, from portal/database/portal_role.py: the least that the portal needs.
// role
const role = {
  role: "portal",
  roles: [],
  privileges: [
    {
      resource: { db: MASTER_DB, collection: "" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "listCollections", "createIndex", "dropIndex", "listIndexes", "collMod",
      ],
    },
    {
      resource: { db: TENANT_DB, collection: "" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "listCollections", "createIndex", "dropIndex", "listIndexes", "dropCollection",
        "renameCollectionSameDB", "collStats", "collMod", "indexStats", "changeStream",
        "createRole", "createUser", "dropRole", "dropUser", "grantRole",
        "revokeRole", "viewRole", "viewUser",
      ],
    },
    {
      resource: { db: TENANT_DB + "_internal", collection: "" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "listCollections", "createIndex", "dropIndex", "listIndexes", "dropCollection",
      ],
    },
    {
      resource: { db: "", collection: "portal_tenant_documents" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "createIndex", "dropIndex", "listIndexes", "dropCollection", "renameCollectionSameDB",
        "collStats", "collMod", "indexStats", "changeStream",
      ],
    },
    {
      resource: { db: "", collection: "portal_trashed_documents" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "createIndex", "dropIndex", "listIndexes", "dropCollection", "renameCollectionSameDB",
        "collStats", "collMod", "indexStats", "changeStream",
      ],
    },
    {
      resource: { db: "", collection: "portal_readonly_documents" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "createIndex", "dropIndex", "listIndexes", "dropCollection", "renameCollectionSameDB",
        "collStats", "collMod", "indexStats", "changeStream",
      ],
    },
    {
      resource: { db: "", collection: "portal_locked_documents" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "createIndex", "dropIndex", "listIndexes", "dropCollection", "renameCollectionSameDB",
        "collStats", "collMod", "indexStats", "changeStream",
      ],
    },
    {
      resource: { db: "", collection: "portal_moving_documents" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "createIndex", "dropIndex", "listIndexes", "dropCollection", "renameCollectionSameDB",
        "collStats", "collMod", "indexStats", "changeStream",
      ],
    },
    {
      resource: { db: "", collection: "portal_moved_documents_1" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "createIndex", "dropIndex", "listIndexes", "dropCollection", "renameCollectionSameDB",
        "collStats", "collMod", "indexStats", "changeStream",
      ],
    },
    {
      resource: { db: "", collection: "portal_moved_documents_2" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "createIndex", "dropIndex", "listIndexes", "dropCollection", "renameCollectionSameDB",
        "collStats", "collMod", "indexStats", "changeStream",
      ],
    },
    {
      resource: { db: "", collection: "portal_moved_documents_3" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "createIndex", "dropIndex", "listIndexes", "dropCollection", "renameCollectionSameDB",
        "collStats", "collMod", "indexStats", "changeStream",
      ],
    },
    {
      resource: { db: "", collection: "portal_moved_documents_4" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "createIndex", "dropIndex", "listIndexes", "dropCollection", "renameCollectionSameDB",
        "collStats", "collMod", "indexStats", "changeStream",
      ],
    },
    {
      resource: { db: "", collection: "portal_moved_documents_5" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "createIndex", "dropIndex", "listIndexes", "dropCollection", "renameCollectionSameDB",
        "collStats", "collMod", "indexStats", "changeStream",
      ],
    },
    {
      resource: { db: "", collection: "portal_moved_documents_6" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "createIndex", "dropIndex", "listIndexes", "dropCollection", "renameCollectionSameDB",
        "collStats", "collMod", "indexStats", "changeStream",
      ],
    },
    {
      resource: { db: "", collection: "portal_moved_documents_7" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "createIndex", "dropIndex", "listIndexes", "dropCollection", "renameCollectionSameDB",
        "collStats", "collMod", "indexStats", "changeStream",
      ],
    },
    {
      resource: { db: "", collection: "portal_moved_documents_8" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "createIndex", "dropIndex", "listIndexes", "dropCollection", "renameCollectionSameDB",
        "collStats", "collMod", "indexStats", "changeStream",
      ],
    },
    {
      resource: { db: "", collection: "" },
      actions: [
        "listCollections",
      ],
    },
    {
      resource: { db: "local", collection: "oplog.rs" },
      actions: [
        "collStats",
      ],
    },
    {
      resource: { cluster: true },
      actions: [
        "getDefaultRWConcern", "inprog", "hostInfo", "getCmdLineOpts", "serverStatus",
      ],
    },
    {
      resource: { db: TENANT_DB + "_reports", collection: "" },
      actions: [
        "find", "insert", "update", "remove", "createCollection",
        "listCollections", "createIndex", "dropIndex", "listIndexes",
      ],
    },
  ],
};
// /role

function isKnown(first) {
  try {
    first.auth(administrator.user, administrator.pwd);
    return true;
  } catch (error) {
    if (![AUTHENTICATION_FAILED, NOT_YET_INITIALIZED].includes(error.code)) throw error;
    return false;
  }
}

function initiate(first) {
  // The first one is preferred: only where it is the primary can it be given the first user.
  const configured = members.map((host, n) => ({ _id: n, host, priority: n ? 1 : 2 }));
  try {
    first.adminCommand({ replSetInitiate: { _id: REPLICA_SET, members: configured } });
    print("Replica set initiated.");
  } catch (error) {
    if (error.code === UNAUTHORIZED) {
      throw new Error("There are users already, and MONGO_ADMIN_PASSWORD is not admin's password.");
    }
    if (error.code !== ALREADY_INITIALIZED) throw error;
  }
}

function waitForPrimary(first) {
  const deadline = Date.now() + PATIENCE_SECONDS * 1000;
  while (!first.hello().isWritablePrimary) {
    if (Date.now() > deadline) throw new Error("The first member did not become the primary.");
    sleep(200);
  }
}

function setRole(admin, { role, ...wanted }) {
  if (admin.getRole(role)) admin.updateRole(role, wanted, { w: "majority" });
  else admin.createRole({ role, ...wanted }, { w: "majority" });
}

function setUser(admin, { user, ...wanted }) {
  if (admin.getUser(user)) admin.updateUser(user, wanted, { w: "majority" });
  else admin.createUser({ user, ...wanted }, { w: "majority" });
}

const port = members[0].split(":")[1];
const first = connect(`mongodb://127.0.0.1:${port}/admin?directConnection=true`);
if (!isKnown(first)) {
  initiate(first);
  waitForPrimary(first);
  first.createUser(administrator, { w: "majority" });
  print("User admin created.");
}
// By now any member may be the primary.
const uri = `mongodb://${MEMBERS}/admin?replicaSet=${REPLICA_SET}`;
const admin = connect(uri, administrator.user, administrator.pwd);
setRole(admin, role);
setUser(admin, portal);
print("User portal is as it should be.");
