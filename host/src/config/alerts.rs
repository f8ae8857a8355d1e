//! `[alerts]` of the user's own `config.toml`: from where on something is not as it should be, and who is told.
//!
//! A project has no such table: it can't choose where anything is sent, nor which program runs.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;

/// From where on there is an alert, and who is told. The defaults: errors over 5 %, response over 5 s, CPU over 80 %,
/// memory over 75 %, a budget over 80 %, each for 10 s; nobody but those who look at the run.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertSettings {
    /// Whether there are any.
    pub enabled: bool,
    /// The share of attempts that may fail, of those in the window.
    pub errors: f64,
    /// How long the first sign of an answer may take: the middle one of those in the window.
    pub response: Duration,
    /// The share of the processors that may be in use.
    pub cpu: f64,
    /// The share of the memory that may be in use.
    pub memory: f64,
    /// The share of a budget that may be spent.
    pub budget: f64,
    /// How long it must last before it counts, and how long it must be well again.
    pub lasting: Duration,
    /// How far back attempts and answers count.
    pub window: Duration,
    /// Where they are sent.
    pub webhook: Option<Webhook>,
    /// What is run for each: a program and its arguments.
    pub program: Option<Vec<String>>,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            errors: 0.05,
            response: Duration::from_secs(5),
            cpu: 0.80,
            memory: 0.75,
            budget: 0.80,
            lasting: Duration::from_secs(10),
            window: Duration::from_secs(60),
            webhook: None,
            program: None,
        }
    }
}

/// Where alerts are sent. Who knows the whole address may send there too, so only its host is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook(Url);

impl Webhook {
    /// The whole address.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        match self.0.host_str() {
            Some("localhost") => true,
            Some(host) => host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback()),
            None => false,
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text.trim()).map_err(|_| "write an address, like https://alerts.example/convoke")?;
        let webhook = Self(url);
        match webhook.0.scheme() {
            "https" => Ok(webhook),
            "http" if webhook.is_local() => Ok(webhook),
            _ => Err("it must be https, or http to this machine"),
        }
    }
}

impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.0.port().map_or_else(String::new, |port| format!(":{port}"));
        write!(f, "{}://{}{port}/…", self.0.scheme(), self.0.host_str().unwrap_or_default())
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({self})")
    }
}

/// `[alerts]` as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertsTable {
    enabled: Option<bool>,
    errors: Option<Spanned<f64>>,
    response_s: Option<Spanned<f64>>,
    cpu: Option<Spanned<f64>>,
    memory: Option<Spanned<f64>>,
    budget: Option<Spanned<f64>>,
    lasting_s: Option<Spanned<f64>>,
    window_s: Option<Spanned<f64>>,
    webhook: Option<Spanned<String>>,
    program: Option<Spanned<Vec<String>>>,
}

impl AlertsTable {
    pub(super) fn check(self, document: Document<'_>) -> Result<AlertSettings, ConfigError> {
        let default = AlertSettings::default();
        let share = |key: &str, value| document.within(key, value, 0.0..=1.0);
        let seconds = |key: &str, value, least: f64| {
            document.within(key, value, least..=3_600.0).map(|value| value.map(Duration::from_secs_f64))
        };
        let webhook = |text: Spanned<String>| {
            Webhook::parse(text.get_ref()).map_err(|hint| document.at(text.span(), "webhook can't be used", hint))
        };
        let program = |words: Spanned<Vec<String>>| match words.get_ref().first() {
            Some(name) if is_name(name) || Path::new(name).is_absolute() => Ok(words.into_inner()),
            _ => {
                let hint = "write a list: the name of a program, or its whole path, and its arguments";
                Err(document.at(words.span(), "program can't be run", hint))
            }
        };
        Ok(AlertSettings {
            enabled: self.enabled.unwrap_or(default.enabled),
            errors: share("errors", self.errors)?.unwrap_or(default.errors),
            response: seconds("response_s", self.response_s, 0.0)?.unwrap_or(default.response),
            cpu: share("cpu", self.cpu)?.unwrap_or(default.cpu),
            memory: share("memory", self.memory)?.unwrap_or(default.memory),
            budget: share("budget", self.budget)?.unwrap_or(default.budget),
            lasting: seconds("lasting_s", self.lasting_s, 0.0)?.unwrap_or(default.lasting),
            window: seconds("window_s", self.window_s, 1.0)?.unwrap_or(default.window),
            webhook: self.webhook.map(webhook).transpose()?,
            program: self.program.map(program).transpose()?,
        })
    }
}

/// Whether it is a name that is looked for in `PATH`.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', '\\', '\0'])
}

#[cfg(test)]
mod tests {
    use super::super::{project, user};
    use super::*;

    fn read(text: &str) -> Result<AlertSettings, ConfigError> {
        user::parse(Path::new("config.toml"), &format!("[alerts]\n{text}\n")).map(|user| user.alerts)
    }

    #[test]
    fn the_thresholds_are_those_of_the_design_unless_said_otherwise() {
        let default = read("").unwrap();
        assert_eq!((default.errors, default.cpu, default.memory), (0.05, 0.8, 0.75));
        assert_eq!(default.response, Duration::from_secs(5));
        let own = read("errors = 0.2\nresponse_s = 1.5\nlasting_s = 0\nwindow_s = 2").unwrap();
        assert_eq!((own.errors, own.response), (0.2, Duration::from_millis(1_500)));
        assert_eq!((own.lasting, own.window), (Duration::ZERO, Duration::from_secs(2)));
        for wrong in ["errors = 5", "cpu = nan", "cpu = -0.1", "window_s = 0", "response_s = 4000", "disk = 0.5"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_a_webhook_only_the_host_is_shown() {
        let webhook = read("webhook = \"https://hooks.example:8443/T0/very-secret?key=1\"").unwrap().webhook.unwrap();
        assert_eq!(webhook.to_string(), "https://hooks.example:8443/…");
        assert_eq!(format!("{webhook:?}"), "Webhook(https://hooks.example:8443/…)");
        assert!(read("webhook = \"http://127.0.0.1:9/x\"").unwrap().webhook.unwrap().is_local());
        for wrong in ["http://alerts.example/", "ftp://alerts.example/", "file:///etc/passwd", "alerts", ""] {
            assert!(read(&format!("webhook = \"{wrong}\"")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_program_has_a_name_or_a_whole_path() {
        let words = |text: &str| read(text).map(|alerts| alerts.program.unwrap());
        assert_eq!(words("program = [\"notify-send\", \"convoke\"]").unwrap(), ["notify-send", "convoke"]);
        assert_eq!(words("program = [\"/opt/page\"]").unwrap(), ["/opt/page"]);
        for wrong in ["[]", "[\"\"]", "[\"./page\"]", "[\"bin/page\"]"] {
            assert!(read(&format!("program = {wrong}")).is_err(), "{wrong}");
        }
        assert!(read("program = \"rm -rf\"").is_err(), "no shell");
    }

    #[test]
    fn a_project_has_no_say() {
        let error = project::parse(Path::new("convoke.toml"), "[alerts]\nprogram = [\"x\"]\n").unwrap_err();
        let hint = miette::Diagnostic::help(&error).unwrap().to_string();
        assert!(hint.contains("config.toml"), "{hint}");
    }
}
