//! `[quotas.<name>]`: what may be spent in a time, beside what the provider itself limits.
//!
//! ```toml
//! [quotas.nights]                # a quota for questions: those that fit all of account, model, command, plugin
//! requests = 600                 # in per_s, as all of them: at least one of requests, input_tokens, output_tokens, usd
//! input_tokens = 200_000
//! output_tokens = 40_000
//! usd = 5.0                      # at list price
//! per_s = 3_600                  # default: 60
//! account = "anthropic"          # a backend's name, or an account as `convoke limits` shows it
//! model = "opus"                 # opus, sonnet, haiku, other: by the model's name
//! command = "agent-audit"
//! plugin = "agent-audit"
//!
//! [quotas.tracker]               # a quota for another service
//! requests = 100
//! per_s = 60
//! host = "*.tracker.example"     # all below it
//! method = ["POST", "PUT"]       # default: all
//!
//! [quotas.terraform]
//! requests = 10
//! per_s = 600
//! program = "terraform"
//!
//! [quotas.github_api]            # the built-in ones: github_api, azure_arm_read, azure_arm_write, osv_api
//! requests = 30                  # per_s and what counts stay as they are
//! ```
//!
//! A bucket holds what comes back in `per_s`. All processes of the user take from the same ones. A project can only add
//! tighter ones: they hold beside the user's own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use convoke_runtime::money::Usd;
use convoke_runtime::quota::named::{Match, NamedQuota, NamedQuotas};
use convoke_runtime::quota::rate::Size;
use convoke_runtime::quota::scoped::{ModelClass, Scope, ScopedQuota};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use super::project::Refused;

/// Requests and tokens of a quota, at most: a million millions, more than any account has.
const MOST: i64 = 1_000_000_000_000;

/// The dollars of a quota.
const DOLLARS: std::ops::RangeInclusive<f64> = 0.000_001..=1_000_000.0;

/// The period of a quota, in seconds: up to 31 days.
const PERIODS: std::ops::RangeInclusive<i64> = 1..=31 * 86_400;

/// The period where none is said, in seconds.
const PERIOD: i64 = 60;

/// The longest name of a quota, and of what it is for, in bytes.
const LONGEST_NAME: usize = 64;

/// As it stands in a file, by the quota's name.
pub(super) type QuotasTable = BTreeMap<Spanned<String>, QuotaTable>;

/// One of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuotaTable {
    requests: Option<Spanned<i64>>,
    input_tokens: Option<Spanned<i64>>,
    output_tokens: Option<Spanned<i64>>,
    usd: Option<Spanned<f64>>,
    per_s: Option<Spanned<i64>>,
    account: Option<Spanned<String>>,
    model: Option<Class>,
    command: Option<Spanned<String>>,
    plugin: Option<Spanned<String>>,
    host: Option<Spanned<String>>,
    method: Option<Spanned<Methods>>,
    program: Option<Spanned<String>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Class {
    Opus,
    Sonnet,
    Haiku,
    Other,
}

impl From<Class> for ModelClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Opus => Self::Opus,
            Class::Sonnet => Self::Sonnet,
            Class::Haiku => Self::Haiku,
            Class::Other => Self::Other,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Methods {
    One(String),
    Several(Vec<String>),
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedQuotas {
    scoped: Vec<ScopedQuota>,
    named: Vec<NamedQuota>,
}

/// All quotas in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Those that questions take from.
    pub scoped: Vec<Arc<ScopedQuota>>,
    /// Those of other services.
    pub named: NamedQuotas,
}

/// Checks what a file says.
pub(super) fn check(table: QuotasTable, document: Document<'_>) -> Result<AskedQuotas, ConfigError> {
    let mut asked = AskedQuotas::default();
    for (name, quota) in table {
        let span = name.span();
        let name = name.into_inner();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(plain) {
            let hint = format!("use letters, digits, - and _, at most {LONGEST_NAME}");
            return Err(document.at(span, "this is no name for a quota", hint));
        }
        quota.check(&name, span, document, &mut asked)?;
    }
    Ok(asked)
}

impl QuotaTable {
    fn check(
        self,
        name: &str,
        place: std::ops::Range<usize>,
        document: Document<'_>,
        asked: &mut AskedQuotas,
    ) -> Result<(), ConfigError> {
        let amount = |key, value| {
            let amount = document.within(key, value, 1..=MOST)?;
            Ok::<_, ConfigError>(amount.map(i64::unsigned_abs))
        };
        let built_in = NamedQuotas::default();
        let built_in = built_in.get(name);
        let for_service = [&self.host, &self.program].into_iter().flatten().map(Spanned::span).next();
        let for_service = for_service.or_else(|| self.method.as_ref().map(Spanned::span));
        let of_questions = [&self.account, &self.command, &self.plugin].into_iter().flatten().map(Spanned::span).next();
        let counts_tokens = [&self.input_tokens, &self.output_tokens].into_iter().flatten().map(Spanned::span).next();
        let counts_tokens = counts_tokens.or_else(|| self.usd.as_ref().map(Spanned::span));
        let is_service = for_service.is_some() || built_in.is_some();

        let per = document.within("per_s", self.per_s, PERIODS)?.map(|per| Duration::from_secs(per.unsigned_abs()));
        let requests = amount("requests", self.requests)?;
        if !is_service {
            let scoped = ScopedQuota {
                name: Arc::from(name),
                requests,
                input_tokens: amount("input_tokens", self.input_tokens)?,
                output_tokens: amount("output_tokens", self.output_tokens)?,
                usd: document.within("usd", self.usd, DOLLARS)?.map(Usd::from_dollars),
                per: per.unwrap_or(Duration::from_secs(PERIOD.unsigned_abs())),
                scope: Scope {
                    account: named("account", self.account, document)?,
                    model: self.model.map(Into::into),
                    command: named("command", self.command, document)?,
                    plugin: named("plugin", self.plugin, document)?,
                },
            };
            let limits = [scoped.requests, scoped.input_tokens, scoped.output_tokens, scoped.usd.map(Usd::pico)];
            if limits.iter().all(Option::is_none) {
                let hint = "set requests, input_tokens, output_tokens or usd";
                return Err(document.at(place, &format!("the quota {name} limits nothing"), hint));
            }
            asked.scoped.push(scoped);
            return Ok(());
        }

        if let Some(place) = of_questions.or_else(|| self.model.map(|_| place.clone())) {
            let message = format!("the quota {name} is for questions and for another service at once");
            let hint =
                "use account, model, command and plugin for questions, or host, method and program for a service";
            return Err(document.at(place, &message, hint));
        }
        if let Some(place) = counts_tokens {
            let message = format!("the quota {name} is for another service, of which only requests are counted");
            return Err(document.at(place, &message, "set requests and per_s"));
        }
        if let (Some(_), Some(program)) = (self.host.as_ref().or(None), &self.program) {
            let hint = "make two quotas of it";
            return Err(document.at(program.span(), "a use is of a host or of a program, never of both", hint));
        }
        if let (Some(method), Some(_)) = (&self.method, &self.program) {
            return Err(document.at(method.span(), "a program has no method", "set host, or leave method out"));
        }
        let Some(requests) = requests else {
            return Err(document.at(place, &format!("the quota {name} limits nothing"), "set requests"));
        };
        let default = built_in.map_or(Duration::from_secs(PERIOD.unsigned_abs()), |quota| quota.size.per);
        let matches = match for_service {
            None => Vec::new(),
            Some(_) => vec![Match {
                host: self.host.map(|host| of_host(&host, document)).transpose()?,
                methods: self.method.map(|method| of_methods(&method, document)).transpose()?.unwrap_or_default(),
                program: self.program.map(|program| of_program(&program, document)).transpose()?,
            }],
        };
        let size = Size { amount: requests, per: per.unwrap_or(default) };
        asked.named.push(NamedQuota { name: Arc::from(name), size, matches });
        Ok(())
    }
}

fn named(key: &str, value: Option<Spanned<String>>, document: Document<'_>) -> Result<Option<String>, ConfigError> {
    let Some(value) = value else { return Ok(None) };
    if value.get_ref().trim().is_empty() || value.get_ref().len() > LONGEST_NAME {
        let hint = format!("write a name of at most {LONGEST_NAME} letters, or leave {key} out for all");
        return Err(document.at(value.span(), &format!("{key} has no name"), hint));
    }
    Ok(Some(value.into_inner()))
}

fn of_host(host: &Spanned<String>, document: Document<'_>) -> Result<String, ConfigError> {
    let text = host.get_ref();
    let labels = text.strip_prefix("*.").unwrap_or(text);
    let plain = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if text == "*" || (text.len() <= 253 && labels.split('.').all(plain)) {
        return Ok(text.to_ascii_lowercase());
    }
    let hint = "write a host like api.example.com, or *.example.com for all below one; without https:// and a port";
    Err(document.at(host.span(), "this is no host", hint))
}

fn of_methods(methods: &Spanned<Methods>, document: Document<'_>) -> Result<Vec<String>, ConfigError> {
    let all = match methods.get_ref() {
        Methods::One(one) => std::slice::from_ref(one),
        Methods::Several(several) => several,
    };
    let plain =
        |method: &String| (1..=20).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_alphabetic());
    if all.is_empty() || all.len() > 16 || !all.iter().all(plain) {
        let hint = "write \"GET\" or [\"POST\", \"PUT\"], or leave it out for all";
        return Err(document.at(methods.span(), "this is no HTTP method", hint));
    }
    Ok(all.iter().map(|method| method.to_ascii_uppercase()).collect())
}

fn of_program(program: &Spanned<String>, document: Document<'_>) -> Result<String, ConfigError> {
    let text = program.get_ref();
    if text.is_empty() || text.len() > LONGEST_NAME || text.contains(['/', '\\', '*']) {
        let hint = "write a program's name without its folder, like terraform";
        return Err(document.at(program.span(), "this is no program's name", hint));
    }
    Ok(text.clone())
}

impl AskedQuotas {
    /// What a project asks for, under names of its own: projects share no bucket.
    pub(super) fn of_project(mut self, path: &Path) -> Self {
        let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
        let place: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let own = |name: &Arc<str>| Arc::from(format!("{name}@{place}"));
        self.scoped.iter_mut().for_each(|quota| quota.name = own(&quota.name));
        self.named.iter_mut().for_each(|quota| quota.name = own(&quota.name));
        self
    }
}

impl Quotas {
    /// The user's own, and the built-in ones.
    pub(super) fn of(asked: AskedQuotas) -> Self {
        let mut quotas = Self { scoped: asked.scoped.into_iter().map(Arc::new).collect(), ..Self::default() };
        asked.named.into_iter().for_each(|quota| quotas.named.set(quota));
        quotas
    }

    /// A project's, beside them. One that is named as one of the user's and looser would hold nobody back: it is said.
    pub(super) fn tighten(&mut self, asked: AskedQuotas, refused: &mut Refused<'_>) {
        let looser = |name: &str| {
            format!("[quotas.{name}] is looser than your own, which stays: a project can only add tighter quotas")
        };
        let plain = |name: &Arc<str>| name.split('@').next().unwrap_or_default().to_owned();
        for quota in asked.scoped {
            let name = plain(&quota.name);
            let own = self.scoped.iter().find(|own| *own.name == *name && own.scope == quota.scope);
            if own.is_some_and(|own| is_looser(&quota, own)) {
                refused.push(&format!("quotas.{name}"), &looser(&name));
            } else {
                self.scoped.push(Arc::new(quota));
            }
        }
        for mut quota in asked.named {
            let name = plain(&quota.name);
            if let Some(own) = self.named.get(&name) {
                if is_faster(quota.size, own.size) {
                    refused.push(&format!("quotas.{name}"), &looser(&name));
                    continue;
                }
                if quota.matches.is_empty() {
                    quota.matches = own.matches.clone();
                }
            }
            self.named.set(quota);
        }
    }
}

/// Whether any limit of one would be above the other's.
fn is_looser(one: &ScopedQuota, other: &ScopedQuota) -> bool {
    let amounts = |quota: &ScopedQuota| {
        [quota.requests, quota.input_tokens, quota.output_tokens, quota.usd.map(Usd::pico)]
            .map(|amount| amount.map(|amount| Size { amount, per: quota.per }))
    };
    let pairs = amounts(one).into_iter().zip(amounts(other));
    pairs.into_iter().any(|(one, other)| one.zip(other).is_some_and(|(one, other)| is_faster(one, other)))
}

/// Whether more comes at once, or in a time.
fn is_faster(one: Size, other: Size) -> bool {
    let rate = |one: Size, other: Size| u128::from(one.amount) * other.per.as_nanos();
    one.amount > other.amount || rate(one, other) > rate(other, one)
}

#[cfg(test)]
mod tests {
    use super::super::document::documented_example;
    use super::super::user;
    use super::*;

    fn asked(text: &str) -> Result<AskedQuotas, ConfigError> {
        user::parse(Path::new("config.toml"), text).map(|user| user.quotas)
    }

    #[test]
    fn the_documented_example_is_read() {
        let quotas = Quotas::of(asked(&documented_example(include_str!("quotas.rs"))).unwrap());
        let nights = &quotas.scoped[0];
        assert_eq!(
            (nights.requests, nights.usd, nights.per.as_secs()),
            (Some(600), Some(Usd::from_dollars(5.0)), 3_600)
        );
        assert_eq!(
            (nights.scope.model, nights.scope.command.as_deref()),
            (Some(ModelClass::Opus), Some("agent-audit"))
        );
        let named = |name: &str| quotas.named.get(name).unwrap().clone();
        assert_eq!(named("tracker").matches[0].methods, ["POST", "PUT"]);
        assert_eq!(named("terraform").matches[0].program.as_deref(), Some("terraform"));
        let github = named("github_api");
        assert_eq!((github.size.amount, github.size.per.as_secs(), github.matches.len()), (30, 600, 2));
        assert_eq!(named("azure_arm_write").size.amount, 1_200);
    }

    #[test]
    fn what_can_not_be_is_refused_with_its_place_and_a_hint() {
        for (text, problem) in [
            ("requests = 0", "config.toml:2:12: requests is 0"),
            ("requests = -3", "config.toml:2:12: requests is -3"),
            ("output_tokens = 1_000_000_000_001", "config.toml:2:17: output_tokens is 1000000000001"),
            ("requests = 99999999999999999999", "config.toml:2:12"),
            ("usd = 0.0", "config.toml:2:7: usd is 0"),
            ("usd = nan", "config.toml:2:7: usd is NaN"),
            ("requests = 1\nper_s = 0", "config.toml:3:9: per_s is 0"),
            ("requests = 1\nper_s = 99999999", "config.toml:3:9: per_s is 99999999"),
            ("requests = 1.5", "config.toml:2:12"),
            ("per_s = 60", "config.toml:1:9: the quota x limits nothing"),
            ("reqests = 1", "config.toml:2:1: unknown field `reqests`"),
            ("requests = 1\nmodel = \"opsu\"", "config.toml:3:9: unknown variant `opsu`"),
            ("requests = 1\ncommand = \" \"", "config.toml:3:11: command has no name"),
            ("requests = 1\nhost = \"https://a.b\"", "config.toml:3:8: this is no host"),
            ("requests = 1\nhost = \"a.*.b\"", "config.toml:3:8: this is no host"),
            ("requests = 1\nhost = \"a.b\"\nmethod = []", "config.toml:4:10: this is no HTTP method"),
            ("requests = 1\nprogram = \"/bin/x\"", "config.toml:3:11: this is no program's name"),
            ("requests = 1\nprogram = \"x\"\nhost = \"a.b\"", "config.toml:3:11: a use is of a host or of a program"),
            ("requests = 1\nprogram = \"x\"\nmethod = \"GET\"", "config.toml:4:10: a program has no method"),
            ("requests = 1\nhost = \"a.b\"\ncommand = \"c\"", "config.toml:4:11: the quota x is for questions and for"),
            ("input_tokens = 1\nhost = \"a.b\"", "config.toml:2:16: the quota x is for another service, of which"),
            ("per_s = 1\nhost = \"a.b\"", "config.toml:1:9: the quota x limits nothing"),
        ] {
            let error = asked(&format!("[quotas.x]\n{text}\n")).unwrap_err();
            assert!(error.to_string().contains(problem), "{problem}: {error}");
        }
        assert!(asked("[quotas.\"a b\"]\nrequests = 1\n").unwrap_err().to_string().contains("no name for a quota"));
        assert!(asked("[quotas.github_api]\nrequests = 1\nmodel = \"opus\"\n").is_err());
        let hint = miette::Diagnostic::help(&asked("[quotas.x]\nreqests = 1\n").unwrap_err()).unwrap().to_string();
        assert_eq!(hint, "did you mean `requests`?");
    }

    #[test]
    fn a_project_adds_tighter_ones_and_is_told_of_looser_ones() {
        let mut quotas = Quotas::of(asked("[quotas.mine]\nrequests = 10\n").unwrap());
        let of_project = asked(
            "[quotas.mine]\nrequests = 20\n[quotas.more]\nusd = 1.0\n[quotas.github_api]\nrequests = 500\n\
             [quotas.azure_arm_read]\nrequests = 5\n",
        );
        let lines = Default::default();
        let mut refused = Refused::new(&lines);
        quotas.tighten(of_project.unwrap().of_project(Path::new("/a/convoke.toml")), &mut refused);
        let refused = refused.all;
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert!(refused[0].contains("[quotas.mine] is looser") && refused[1].contains("[quotas.github_api]"));
        assert_eq!(quotas.scoped.len(), 2);
        assert!(quotas.scoped[1].name.starts_with("more@"), "{:?}", quotas.scoped[1].name);
        let reads = |quota: &&NamedQuota| quota.name.starts_with("azure_arm_read");
        let sizes: Vec<u64> = quotas.named.all().iter().filter(reads).map(|quota| quota.size.amount).collect();
        assert_eq!(sizes, [12_000, 5], "both hold");
        assert_eq!(quotas.named.get("github_api").unwrap().size.amount, 50);
    }

    #[test]
    fn the_same_amount_in_a_shorter_time_is_looser() {
        let of = |amount, seconds| Size { amount, per: Duration::from_secs(seconds) };
        assert!(is_faster(of(10, 30), of(10, 60)) && is_faster(of(20, 120), of(10, 60)));
        assert!(!is_faster(of(10, 60), of(10, 60)) && !is_faster(of(1, 6), of(10, 60)));
    }
}
