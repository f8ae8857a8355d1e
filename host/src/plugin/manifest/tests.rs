use serde_json::json;

use super::*;

const SMALL: &str = r#"manifest_version = 1
name = "agent-audit"
version = "0.1.0"
description = "Audits Claude agent definitions"
license = "MIT OR Apache-2.0"
"#;

const WHOLE: &str = r#"manifest_version = 1
name = "agent-audit"
version = "0.1.0"
description = "Audits Claude agent definitions"
license = "MIT OR Apache-2.0"
usage = """
Looks at each.
Twice."""
[sizing]
max_instances = 8
items_per_instance = 5
[[argument]]
name = "path"
help = "Folders or files to audit. Default: the project"
kind = "path"
repeated = true
[[option]]
name = "no-near"
help = "Skip the search for near-duplicates"
kind = "flag"
[[option]]
name = "near"
short = "n"
kind = "integer"
default = 80
[[option]]
name = "depth"
kind = "choice"
choices = ["quick", "deep"]
default = "quick"
[[option]]
name = "tag"
repeated = true
[[option]]
name = "against"
kind = "path"
[[rule]]
id = "name-missing"
severity = "high"
summary = "An agent without a name"
"#;

fn parse(text: &str) -> Result<Manifest, ManifestError> {
    Manifest::from_toml("plugin.toml", text.as_bytes())
}

fn refused(text: &str) -> ManifestError {
    parse(text).expect_err(text)
}

/// The message of a manifest with more lines than the small one.
fn refused_with(more: &str) -> String {
    refused(&format!("{SMALL}{more}")).to_string()
}

#[test]
fn a_manifest_survives_the_way_into_the_component_and_back() {
    for text in [SMALL, WHOLE] {
        let manifest = parse(text).unwrap();
        let json = manifest.to_json().unwrap();
        assert_eq!(Manifest::from_json(&json).unwrap(), manifest);
        assert_eq!(Manifest::from_json(&json).unwrap().to_json().unwrap(), json);
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_a_suggestion() {
    let error = refused(&format!("{SMALL}[sizing]\nmax_instance = 3\n"));
    assert_eq!(error.fault(), &Fault::UnknownKey { key: "max_instance".to_owned() });
    assert_eq!(error.place(), Some((7, 1)));
    assert_eq!(error.hint(), Some("did you mean `max_instances`?"));
    assert_eq!(error.to_string(), "plugin.toml:7:1: unknown key `max_instance`");
    let shown = format!("{:?}", miette::Report::new(error));
    assert!(shown.contains("max_instance = 3") && shown.contains("did you mean"), "{shown}");
}

#[test]
fn a_version_this_host_does_not_know_is_said_before_anything_else() {
    let error = refused("manifest_version = 2\nnew_thing = true\n");
    assert_eq!(error.fault(), &Fault::OtherVersion { found: 2 });
    assert_eq!(refused("name = \"x\"\n").fault(), &Fault::NoVersion);
    assert_eq!(refused("manifest_version = \"1\"\n").fault(), &Fault::NoVersion);
    let error = Manifest::from_json(br#"{"manifest_version":7,"more":1}"#).unwrap_err();
    assert_eq!(error.fault(), &Fault::OtherVersion { found: 7 });
}

#[test]
fn what_is_no_toml_no_text_or_too_large_is_refused() {
    assert!(matches!(refused("manifest_version = = 1").fault(), Fault::Syntax { .. }));
    let error = Manifest::from_toml("plugin.toml", b"name = \"\xff\"").unwrap_err();
    assert_eq!(error.fault(), &Fault::NotUtf8 { offset: 8 });
    let error = Manifest::from_toml("plugin.toml", &vec![b'#'; MOST_BYTES + 1]).unwrap_err();
    assert!(matches!(error.fault(), Fault::TooLarge { .. }));
    assert!(Manifest::from_json(b"{").is_err());
    assert!(Manifest::from_json(b"[]").is_err());
}

#[test]
fn names_are_kebab_case_short_and_not_convokes_own() {
    for bad in ["Agent", "agent_audit", "-a", "a--b", "a-", "1a", "", "list", "help", "build", "\\u001b[31m", "ä"] {
        let error = refused(&SMALL.replace("agent-audit", bad));
        assert_eq!(error.key(), "name", "{bad}");
        assert_eq!(error.place(), Some((2, 8)), "{bad}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
    assert!(parse(&SMALL.replace("agent-audit", &"a".repeat(64))).is_ok());
    assert!(parse(&SMALL.replace("agent-audit", &"a".repeat(65))).is_err());
}

#[test]
fn version_and_licence_are_checked() {
    assert_eq!(refused(&SMALL.replace("0.1.0", "0.1")).key(), "version");
    assert_eq!(refused(&SMALL.replace("MIT OR Apache-2.0", "free for all")).key(), "license");
}

#[test]
fn texts_that_could_fool_a_terminal_are_refused() {
    for bad in ["\\u001b[2J", "a\\u202eb", "one\\ntwo", "\\u0007", " "] {
        assert_eq!(refused(&SMALL.replace("Audits Claude agent definitions", bad)).key(), "description", "{bad}");
    }
    assert!(refused_with("usage = \"a\\u001b\"\n").contains("usage: it contains the control character"));
    assert!(refused(&SMALL.replace("Audits", &"x".repeat(201))).to_string().contains("longer than 200"));
}

#[test]
fn parameters_that_no_command_line_can_have_are_refused() {
    for (more, message) in [
        ("[[argument]]\nname='a'\nkind='flag'\n", "argument[0].kind: a flag is an option"),
        ("[[argument]]\nname='a'\nshort='a'\n", "argument[0].short: an argument is not typed by a letter"),
        ("[[argument]]\nname='a'\nrepeated=true\n[[argument]]\nname='b'\n", "argument[0].repeated: only the last"),
        (
            "[[argument]]\nname='a'\n[[argument]]\nname='b'\nrequired=true\n",
            "argument[1].required: an argument that must",
        ),
        ("[[argument]]\nname='a'\n[[option]]\nname='a'\n", "option[0].name: `a` is there twice"),
        ("[[option]]\nname='a'\n[[option]]\nname='a'\n", "option[1].name: `a` is there twice"),
        ("[[option]]\nname='a'\nshort='x'\n[[option]]\nname='b'\nshort='x'\n", "option[1].short: another option"),
        ("[[option]]\nname='a'\nshort='h'\n", "option[0].short: `-h` is convoke's own"),
        ("[[option]]\nname='a'\nshort='é'\n", "option[0].short: it is not a letter"),
        ("[[option]]\nname='dry-run'\n", "option[0].name: `dry-run` is convoke's own"),
        ("[[argument]]\nname='format'\n", "argument[0].name: `format` is convoke's own"),
        ("[[option]]\nname='a'\nkind='flag'\nrequired=true\n", "option[0].required: a flag is typed or not"),
        ("[[option]]\nname='a'\nkind='choice'\n", "option[0].kind: `choices` and the kind"),
        ("[[option]]\nname='a'\nchoices=['x']\n", "option[0].choices: `choices` and the kind"),
        ("[[option]]\nname='a'\nkind='choice'\nchoices=['x','x']\n", "option[0].choices[1]: it is there twice"),
        ("[[option]]\nname='a'\nkind='choice'\nchoices=['-x']\n", "option[0].choices[0]: a choice is one short word"),
        ("[[option]]\nname='a'\nkind='choice'\nchoices=['x']\ndefault='y'\n", "option[0].default: it is none of"),
        ("[[option]]\nname='a'\nkind='integer'\ndefault='y'\n", "option[0].default: it is not of the parameter's kind"),
        ("[[option]]\nname='a'\nkind='path'\ndefault='y'\n", "option[0].default: a path has no default"),
        ("[[option]]\nname='a'\nrepeated=true\ndefault='y'\n", "option[0].default: what must be typed"),
        ("[[option]]\nname='a'\nkind='flag'\ndefault=true\n", "a default is a number or a text"),
        ("[[option]]\nname='a'\nkind='float'\n", "unknown variant `float`"),
        ("[sizing]\nmax_instances=0\n", "sizing.max_instances: 0 is not between 1 and 100"),
        ("[sizing]\nitems_per_instance=-1\n", "invalid value: integer `-1`"),
        ("[[rule]]\nid='a'\nseverity='bad'\nsummary='s'\n", "unknown variant `bad`"),
        (
            "[[rule]]\nid='a'\nseverity='low'\nsummary='s'\n[[rule]]\nid='a'\nseverity='low'\nsummary='s'\n",
            "rule[1].id: `a` is there twice",
        ),
        (
            "[[argument]]\nname='a'\n[[subcommand]]\nname='audit'\ndescription='d'\n",
            "argument: a command with subcommands takes no arguments",
        ),
        (
            "[[option]]\nname='a'\n[[subcommand]]\nname='audit'\ndescription='d'\n[[subcommand.option]]\nname='a'\n",
            "subcommand[0].option[0].name: `a` is there twice",
        ),
    ] {
        let found = refused_with(more);
        assert!(found.contains(message), "{more}: {found}");
    }
}

#[test]
fn capabilities_are_narrowed_and_a_wrong_one_is_named_with_its_place() {
    let asked = "[[capabilities.process]]\nprogram='git'\nsubcommands=['diff']\n[capabilities.claude]\nusd=2.0\n";
    let manifest = parse(&format!("{SMALL}{asked}")).unwrap();
    assert_eq!(manifest.capabilities.process[0].subcommands, ["diff"]);
    assert_eq!(Manifest::from_json(&manifest.to_json().unwrap()).unwrap(), manifest);
    let found = refused_with("[[capabilities.process]]\nprogram='git'\n[[capabilities.process]]\nprogram='/bin/sh'\n");
    assert!(found.contains("capabilities.process[1].program: `/bin/sh` is not a program's name"), "{found}");
    let error = refused(&format!("{SMALL}[[capabilities.proces]]\n"));
    assert_eq!(error.hint(), Some("did you mean `process`?"));
}

fn typed(manifest: &Manifest, line: &[&str]) -> Arguments {
    let matches = manifest.to_clap().try_get_matches_from(line).unwrap();
    manifest.arguments(&matches, |path| Ok::<_, ()>(format!("named:{path}"))).unwrap()
}

#[test]
fn what_was_not_typed_is_false_null_or_an_empty_list() {
    let manifest = parse(WHOLE).unwrap();
    manifest.to_clap().debug_assert();
    let none = json!({"path": [], "no-near": false, "near": 80, "depth": "quick", "tag": [], "against": null});
    let expected = Arguments { subcommand: None, json: none, paths: vec![] };
    assert_eq!(typed(&manifest, &["agent-audit"]), expected);
}

#[test]
fn paths_get_the_names_the_plugin_finds_them_by_and_only_arguments_are_what_it_works_on() {
    let manifest = parse(WHOLE).unwrap();
    let line = ["agent-audit", "a", "../b", "--no-near", "-n", "-5", "--depth=deep", "--tag", "x", "--tag", "y"];
    let arguments = typed(&manifest, &[&line[..], &["--against", "c"]].concat());
    let expected = json!({
        "path": ["named:a", "named:../b"], "no-near": true, "near": -5, "depth": "deep", "tag": ["x", "y"],
        "against": "named:c",
    });
    assert_eq!(arguments.json, expected);
    assert_eq!(arguments.paths, ["named:a", "named:../b"]);
}

#[test]
fn an_error_about_a_path_comes_back() {
    let manifest = parse(WHOLE).unwrap();
    let matches = manifest.to_clap().try_get_matches_from(["agent-audit", "x"]).unwrap();
    assert_eq!(manifest.arguments(&matches, |path| Err(format!("{path}!"))), Err("x!".to_owned()));
}

#[test]
fn what_does_not_fit_is_refused_by_the_command_line() {
    let manifest = parse(WHOLE).unwrap();
    for line in [&["x", "--near", "many"][..], &["x", "--depth", "other"], &["x", "--nonsense"]] {
        assert!(manifest.to_clap().try_get_matches_from(line).is_err(), "{line:?}");
    }
}

#[test]
fn a_subcommand_takes_its_own_and_the_shared_options() {
    let text = format!(
        "{SMALL}[[option]]\nname='deep'\nkind='flag'\n[[subcommand]]\nname='audit'\ndescription='Looks'\n\
         [[subcommand.argument]]\nname='path'\nkind='path'\nrequired=true\n[[subcommand]]\nname='fix'\ndescription='Mends'\n"
    );
    let manifest = parse(&text).unwrap();
    manifest.to_clap().debug_assert();
    let arguments = typed(&manifest, &["deps", "audit", "x", "--deep"]);
    assert_eq!(arguments.subcommand.as_deref(), Some("audit"));
    assert_eq!(arguments.json, json!({"path": "named:x", "deep": true}));
    assert_eq!(arguments.paths, ["named:x"]);
    assert_eq!(typed(&manifest, &["deps", "fix"]).json, json!({"deep": false}));
    assert!(manifest.to_clap().try_get_matches_from(["deps"]).is_err());
    assert!(manifest.to_clap().try_get_matches_from(["deps", "audit"]).is_err());
}
