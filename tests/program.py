"""A program that uses the JSON API, as tests see one."""

from tests.visitor import PASSWORD


class Program:
    """Sends JSON with its token, if it has one."""

    def __init__(self, app, token=None):
        self.client = app.test_client(use_cookies=False)
        self.token = token

    def ask(self, method, path, body=None, **options):
        headers = {**options.pop("headers", {})}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        given = {} if body is None else {"json": body}
        return self.client.open(path, method=method, headers=headers, **given, **options)

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.ask("POST", path, body, **options)

    def put(self, path, body=None, **options):
        return self.ask("PUT", path, body, **options)

    def delete(self, path, body=None, **options):
        return self.ask("DELETE", path, body, **options)

    def sign_up(self, name="Acme Corp", email="mara@acme.example"):
        return self.post(
            "/org/create", {"organization_name": name, "email": email, "password": PASSWORD}
        )

    def log_in(self, email="mara@acme.example", password=PASSWORD):
        """Log in and keep the token; the answer."""
        answer = self.post("/admin/login", {"email": email, "password": password})
        self.token = answer.json.get("token")
        return answer


def fault(answer):
    """Status, code and the fields at fault."""
    error = answer.json["error"]
    return answer.status_code, error["code"], set(error["fields"])
