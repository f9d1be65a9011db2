"""Operations that change an organization's storage: engine, runner, and a module for each."""
