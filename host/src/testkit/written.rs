//! The part of a case that is about programs and hosts, as it is written: `[grants]`, `[[process]]`, `[[http]]`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::outside::{Http, Process};
use crate::config::ConfigError;
use crate::config::document::Document;
use crate::plugin::capabilities::{Capabilities, Claude, Program, Site};
use crate::plugin::outside::fakes::{Fetched, Ran};

/// `[grants]`: what the plugin may do in the case. Without it: what its manifest asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Grants {
    /// `git diff`: a program, with a subcommand or without.
    #[serde(default)]
    process: Vec<String>,
    /// `GET api.example.org`: a host, with a method or without.
    #[serde(default)]
    http: Vec<String>,
    #[serde(default)]
    store: bool,
    /// Claude's tools.
    #[serde(default)]
    tools: Vec<String>,
}

impl Grants {
    pub(super) fn read(document: Document<'_>, grants: Spanned<Self>) -> Result<Capabilities, ConfigError> {
        let span = grants.span();
        let grants = grants.into_inner();
        let mut programs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for words in &grants.process {
            let (program, subcommand) = words.split_once(' ').unwrap_or((words, ""));
            let subcommands = programs.entry(program.to_owned()).or_default();
            subcommands.extend(Some(subcommand.to_owned()).filter(|subcommand| !subcommand.is_empty()));
        }
        let mut hosts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for words in &grants.http {
            let (method, host) = words.split_once(' ').unwrap_or(("", words));
            let methods = hosts.entry(host.to_owned()).or_default();
            methods.extend(Some(method.to_owned()).filter(|method| !method.is_empty()));
        }
        let granted = Capabilities {
            process: programs
                .into_iter()
                .map(|(program, subcommands)| Program { program, subcommands, optional: false })
                .collect(),
            http: hosts.into_iter().map(|(host, methods)| Site { host, methods, optional: false }).collect(),
            store: grants.store,
            claude: Claude { usd: None, tools: grants.tools },
        };
        let hint = "as in process = [\"git diff\"], http = [\"GET api.example.org\"], store = true";
        granted.check().map_err(|wrong| document.at(span, &format!("grants: {}", wrong.message), hint))?;
        Ok(granted)
    }
}

/// `[[process]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProcessInFile {
    program: String,
    #[serde(default)]
    arguments: Vec<String>,
    times: Option<Spanned<u32>>,
    #[serde(default)]
    stdout: String,
    #[serde(default)]
    stderr: String,
    #[serde(default)]
    status: i32,
    fails: Option<String>,
}

impl ProcessInFile {
    pub(super) fn read(document: Document<'_>, process: Self) -> Result<Process, ConfigError> {
        let Self { program, arguments, times, stdout, stderr, status, fails } = process;
        let ran = Ran { status, stdout: stdout.into_bytes(), stderr: stderr.into_bytes() };
        Ok(Process {
            program,
            arguments,
            times: document.within("times", times, 1..=1_000_000)?,
            given: fails.map_or(Ok(ran), Err),
        })
    }
}

/// `[[http]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpInFile {
    #[serde(default = "get")]
    method: String,
    url: String,
    times: Option<Spanned<u32>>,
    status: Option<Spanned<u16>>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    json: Option<Value>,
    fails: Option<String>,
}

fn get() -> String {
    "GET".to_owned()
}

impl HttpInFile {
    pub(super) fn read(document: Document<'_>, http: Spanned<Self>) -> Result<Http, ConfigError> {
        let span = http.span();
        let Self { method, url, times, status, headers, body, json, fails } = http.into_inner();
        let given = [body.is_some(), json.is_some(), fails.is_some()].into_iter().filter(|is_there| *is_there).count();
        if given > 1 {
            let hint = "write one of body = \"…\", json = {…}, fails = \"…\"";
            return Err(document.at(span, "an answer is one thing", hint));
        }
        let body = body.or(json.map(|json| json.to_string())).unwrap_or_default();
        let fetched = Fetched {
            status: document.within("status", status, 100..=599)?.unwrap_or(200),
            headers: headers.into_iter().collect(),
            body: body.into_bytes(),
        };
        Ok(Http {
            method,
            url,
            times: document.within("times", times, 1..=1_000_000)?,
            given: fails.map_or(Ok(fetched), Err),
        })
    }
}
