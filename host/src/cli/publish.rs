//! `convoke publish`: a component becomes a version in an OCI registry.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::json;

use super::error::CliError;
use super::prepare::project_folder;
use super::terminal::put;
use crate::config::files::read_text;
use crate::config::paths::PROJECT_FILE;
use crate::config::{Choices, Paths, Settings};
use crate::plugin::build::BuildOptions;
use crate::plugin::inspect::{Inspected, inspect};
use crate::plugin::source::{Access, Moved, Publication, Published, Reference, Source, fetch, publish as put_there};
use crate::report::{ExitCode, clean};

pub(super) fn command() -> Command {
    Command::new("publish")
        .about("Publishes a plugin to an OCI registry")
        .long_about(
            "Publishes a plugin to an OCI registry, under its version, which can't be published again with other bytes. \
             The tags of its minor version, its major version, and `latest` move to it, but never back. Your login is \
             that of `docker login`, `oras login` and their like.",
        )
        .arg(
            Arg::new("plugin")
                .value_name("FOLDER|FILE")
                .value_parser(value_parser!(PathBuf))
                .default_value(".")
                .help("The plugin's folder, which is built, or its component"),
        )
        .arg(
            Arg::new("to")
                .long("to")
                .value_name("OCI")
                .required(true)
                .help("The repository: oci://host/path/name"),
        )
        .arg(
            Arg::new("source")
                .long("source")
                .value_name("URL")
                .value_parser(|text: &str| Url::parse(text).map_err(|error| error.to_string()))
                .help("Where the sources are, for those who find it in the registry. Default: `repository` of Cargo.toml"),
        )
        .arg(Arg::new("locked").long("locked").action(ArgAction::SetTrue).help("Cargo.lock must be up to date"))
        .arg(Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue).help("Look at all, and send nothing"))
        .arg(super::format_argument())
}

pub(super) fn publish(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let env = |name: &str| std::env::var(name).ok();
    let project = project_folder(None)?;
    let settings =
        Settings::load(&Paths::find(env)?.user_file(), &project.join(PROJECT_FILE), env, Choices::default())?;
    let to: Reference = matches.get_one::<String>("to").map_or("", String::as_str).parse()?;
    if to.tag().is_some() || to.digest().is_some() {
        let hint = format!("write --to {}", to.bare());
        return Err(CliError::usage("the tag is the plugin's version, and is not chosen").hint(Some(hint)));
    }
    let dry_run = matches.get_flag("dry-run");
    let path = matches.get_one::<PathBuf>("plugin").map_or(Path::new("."), PathBuf::as_path);
    let build = BuildOptions { locked: matches.get_flag("locked"), ..BuildOptions::default() };
    let access = Access { build, ..Access::of(&settings.install, env, &project) };

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::nothing(format!("no threads can be started: {error}")))?;
    let (inspected, published) = runtime.block_on(async {
        let fetched = fetch(&Source::Path(path.to_owned()), &access).await?;
        let inspected = inspect(&fetched.bytes).map_err(|error| {
            let hint = error.hint().map(str::to_owned);
            CliError::usage(format!("{}: {error}", path.display())).hint(hint)
        })?;
        let source = matches.get_one::<Url>("source").cloned().or_else(|| repository(path));
        let source = source.as_ref();
        let what = Publication { bytes: &fetched.bytes, inspected: &inspected, source, now: Timestamp::now() };
        let published = put_there(&to, what, dry_run, &access).await?;
        Ok::<_, CliError>((inspected, published))
    })?;
    let text = if matches.get_one::<String>("format").is_some_and(|format| format == "json") {
        as_json(&inspected, &published, dry_run)
    } else {
        for_people(&inspected, &published, dry_run)
    };
    put(&text, None)?;
    Ok(ExitCode::Success)
}

/// What a plugin's `Cargo.toml` says about where its sources are. What can't be read there says nothing.
fn repository(folder: &Path) -> Option<Url> {
    let text = read_text(&folder.join("Cargo.toml"), 1 << 20).ok()?;
    let file: toml::Table = text.parse().ok()?;
    Url::parse(file.get("package")?.get("repository")?.as_str()?).ok()
}

fn for_people(inspected: &Inspected, published: &Published, dry_run: bool) -> String {
    let manifest = &inspected.manifest;
    let state = match (published.is_new, dry_run) {
        (true, false) => "published",
        (true, true) => "would publish",
        (false, _) => "already there, with the same bytes:",
    };
    let mut text = format!(
        "{state} {} {}: {} ({} kB, sha-256 {})\n",
        manifest.name,
        manifest.version,
        published.reference,
        inspected.size.div_ceil(1000),
        &inspected.digest[..16],
    );
    for (tag, moved) in &published.tags {
        text += &match (moved, dry_run) {
            (Moved::Here, false) => format!("  {tag} names it now\n"),
            (Moved::Here, true) => format!("  {tag} would name it\n"),
            (Moved::Already, _) => format!("  {tag} names it already\n"),
            (Moved::Newer(version), _) => format!("  {tag} stays at {version}, which is newer\n"),
        };
    }
    clean::block(&text)
}

fn as_json(inspected: &Inspected, published: &Published, dry_run: bool) -> String {
    let tags: Vec<_> = published
        .tags
        .iter()
        .map(|(tag, moved)| match moved {
            Moved::Here => json!({ "tag": tag, "state": if dry_run { "would-move" } else { "moved" } }),
            Moved::Already => json!({ "tag": tag, "state": "unchanged" }),
            Moved::Newer(version) => json!({ "tag": tag, "state": "newer", "version": version.to_string() }),
        })
        .collect();
    let state = match (published.is_new, dry_run) {
        (true, false) => "published",
        (true, true) => "would-publish",
        (false, _) => "unchanged",
    };
    let shown = json!({
        "schema_version": 1,
        "name": inspected.manifest.name,
        "version": inspected.manifest.version,
        "state": state,
        "reference": published.reference.to_string(),
        "digest": inspected.digest,
        "size": inspected.size,
        "tags": tags,
    });
    clean::json(format!("{shown:#}\n"))
}
