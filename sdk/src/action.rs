//! Actions as an author makes them: `Action::program("commit", "Commit the guide", "git", ["commit", "-am", "Guide"])`.

use serde_json::{Value, json};

use crate::{Action, Partial};

impl Action {
    /// A program with its arguments, which the host runs after the user agreed, in the project's folder, once.
    ///
    /// `key` says what is done, in a word: two actions of a project with the same key are the same one, and what is done is
    /// not done again by any later run. So put into it what makes it another action: the branch, the number of the
    /// thread, a digest of what is committed. The same key with another program or arguments is refused. An empty key
    /// stands for all that the action says.
    ///
    /// There is no shell: arguments arrive as they are. The program is a name in `PATH`, not a path, and none that runs
    /// others, like `sh` or `env`.
    ///
    /// ```
    /// # use convoke_sdk::Action;
    /// let digest = "4f2a";
    /// let commit = Action::program(format!("commit-{digest}"), "Commit the guide", "git", ["commit", "-aF", "-"])
    ///     .kind("git-commit")
    ///     .input("Mend the guide\n\nIt named a file that is gone.\n");
    /// assert_eq!(commit.kind, "git-commit");
    /// ```
    pub fn program<A: Into<String>>(
        key: impl Into<String>,
        title: impl Into<String>,
        program: impl Into<String>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let arguments: Vec<String> = arguments.into_iter().map(Into::into).collect();
        Self {
            kind: "program".to_owned(),
            title: title.into(),
            body: json!({ "program": program.into(), "arguments": arguments }).to_string(),
            key: key.into(),
            extra: Vec::new(),
        }
    }

    /// What people call it: `git-commit`, `pull-request`, `comment`.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }

    /// What the program reads on its standard input; else nothing.
    pub fn input(self, text: impl Into<String>) -> Self {
        self.with("input", text.into().into())
    }

    /// A folder of the project where it is started; else the project's own.
    pub fn folder(self, folder: impl Into<String>) -> Self {
        self.with("folder", folder.into().into())
    }

    /// How long it may take, in seconds, at most 3,600; else 120. What takes longer is ended, and the user has to find
    /// out what it did.
    pub fn timeout_s(self, seconds: u32) -> Self {
        self.with("timeout_s", seconds.into())
    }

    /// Where the body was made by something else and is no object, it stays as it is.
    fn with(mut self, name: &str, value: Value) -> Self {
        if let Ok(Value::Object(mut body)) = serde_json::from_str(&self.body) {
            body.insert(name.to_owned(), value);
            self.body = Value::Object(body).to_string();
        }
        self
    }
}

impl Partial {
    /// Proposes an action.
    pub fn action(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_what_the_host_reads() {
        let action = Action::program("k", "t", "gh", ["pr", "create"]).input("so").folder("docs").timeout_s(300);
        let body: Value = serde_json::from_str(&action.body).unwrap();
        let expected = json!({
            "program": "gh", "arguments": ["pr", "create"], "input": "so", "folder": "docs", "timeout_s": 300
        });
        assert_eq!((body, action.kind.as_str()), (expected, "program"));
        assert_eq!(Partial::done().action(action).actions.len(), 1);
    }
}
