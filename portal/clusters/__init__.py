"""The registry of clusters: MongoDB deployments for organizations' documents, added, checked,
removed, and given up when lost."""
