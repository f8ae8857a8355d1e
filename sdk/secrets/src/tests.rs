//! Examples. Tokens are put together at run time, so that no scanner takes this file for a leak.

use super::*;

/// Random characters that no one has used as a secret.
const NOISE: &str =
    "q7Rw2LmZ9xVt4KbN8sYc1HdJ6gPf3TaEuX5oW0iQjGzBvCkDyMnFrShUpAeLtOlIq2w3e4r5t6y7u8i9oP0aSdFgHjKlZxCvBnM1q2W";

fn noise(length: usize) -> &'static str {
    &NOISE[..length]
}

fn hex(length: usize) -> String {
    "9f3a7c1e5b8d2046fa9c3e7b1d50864f".chars().cycle().take(length).collect()
}

fn kinds(text: &str) -> Vec<&'static str> {
    find(text).into_iter().map(|secret| secret.kind).collect()
}

#[test]
fn each_providers_token_is_found_whole() {
    let pem = format!("-----BEGIN RSA {0}-----\n{1}\n{1}\n-----END RSA {0}-----", "PRIVATE KEY", noise(64));
    let tokens = [
        ("anthropic-api-key", format!("sk-ant-api03-{}-{}AA", noise(80), noise(8))),
        ("openai-api-key", format!("sk-{}", noise(48))),
        ("openai-api-key", format!("sk-proj-{}", noise(100))),
        ("aws-access-key-id", format!("AKIA{}", "QX7RT2LM5WZV4KBN")),
        ("github-token", format!("ghp_{}", noise(36))),
        ("github-fine-grained-token", format!("github_pat_{}_{}", noise(22), noise(59))),
        ("gitlab-token", format!("glpat-{}", noise(20))),
        ("slack-token", format!("xoxb-{}-{}", "4820175936284", noise(24))),
        ("slack-webhook", format!("hooks.slack.com/services/T{}/B{}/{}", "7XK2M9QRW", "4LN8V3ZPC", noise(24))),
        ("google-api-key", format!("AIza{}", noise(35))),
        ("stripe-live-key", format!("sk_live_{}", noise(24))),
        ("npm-token", format!("npm_{}", noise(36))),
        ("pypi-token", format!("pypi-AgEIcHlwaS5vcmc{}", noise(80))),
        ("sendgrid-api-key", format!("SG.{}.{}", noise(22), noise(43))),
        ("twilio-api-key", format!("SK{}", hex(32))),
        ("json-web-token", format!("eyJ{}.eyJ{}.{}", noise(20), noise(40), noise(43))),
        ("private-key", pem),
    ];
    for (kind, token) in tokens {
        let written_out = [format!(r"one\n{token}\ntwo"), format!(r"\u000a{token}\t")];
        let plain = [token.clone(), format!("before {token} after"), format!("x: '{token}',\n"), format!("é{token}é")];
        for text in plain.into_iter().chain(written_out) {
            let found = find(&text);
            assert_eq!(found.iter().map(|secret| secret.kind).collect::<Vec<_>>(), [kind], "{text}");
            assert_eq!(text[found[0].range.clone()], token);
        }
    }
}

#[test]
fn a_token_that_is_too_short_or_part_of_a_word_is_none() {
    assert!(kinds(&format!("ghp_{}", noise(20))).is_empty());
    assert!(kinds(&format!("ta{}", format_args!("sk-{}", noise(48)))).is_empty());
    assert!(kinds(&format!("AIza{}", noise(40))).is_empty());
    assert!(kinds(&format!("AKIA{}", "IOSFODNN7EXAMPLE")).is_empty());
    assert!(kinds(&format!("ghp_{}", "x".repeat(36))).is_empty());
    assert!(kinds("sk-ant-api03-your-key-goes-right-here-please").is_empty());
}

#[test]
fn the_sample_jwt_of_every_tutorial_is_none() {
    let sample = concat!(
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
        "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.",
        "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
    );
    assert!(kinds(sample).is_empty());
}

#[test]
fn only_the_password_of_a_url_is_a_secret() {
    let text = format!("DATABASE=postgres://app:{}@db.internal:5432/app", "k3J9-vQ2m");
    let found = find(&text);
    assert_eq!(found[0].kind, "url-password");
    assert_eq!(&text[found[0].range.clone()], "k3J9-vQ2m");
    for harmless in [
        "postgres://postgres:postgres@localhost/db",
        "https://user:password@host",
        "https://${USER}:${PASS}@host",
        "redis://:<password>@host",
        "see https://example.org:8080/a@b",
        "mailto:someone@example.org and https://docs.rs/",
        "amqp://guest:guest@localhost",
    ] {
        assert!(kinds(harmless).is_empty(), "{harmless}");
    }
}

#[test]
fn an_assigned_random_value_is_a_secret() {
    for text in [
        format!("api_key = \"{}\"", noise(32)),
        format!("API_KEY={}", noise(40)),
        format!("\"client_secret\": \"{}\",", noise(32)),
        format!("  authToken: '{}'", noise(24)),
        format!("config[\"token\"] = \"{}\"", hex(40)),
        format!("secret := \"{}\"", noise(30)),
        format!("DB_PASSWORD: \"{}\"", "kV9$mq-2Tz"),
    ] {
        assert_eq!(kinds(&text), ["assigned-secret"], "{text}");
    }
}

#[test]
fn cloud_keys_are_found_by_their_name() {
    assert_eq!(kinds(&format!("aws_secret_access_key = {}", noise(40))), ["aws-secret-access-key"]);
    assert_eq!(kinds(&format!("AccountName=a;AccountKey={}==;Endpoint=x", noise(86))), ["azure-storage-key"]);
}

#[test]
fn a_value_that_stands_for_a_secret_is_none() {
    for harmless in [
        "api_key = \"your-api-key-goes-here\"",
        "API_KEY=xxxxxxxxxxxxxxxxxxxxxxxx",
        "token: \"${GITHUB_TOKEN}\"",
        "token: <your token>",
        "password = \"changeme\"",
        "password: \"correct horse battery staple\"",
        "secret = os.environ[\"A_LONG_NAME_WITH_2_DIGITS_34\"]",
        "token = request.headers.get('authorization')",
        "secret: kubernetes.io/service-account-token",
        "max_tokens: 4096",
        "tokenizer = \"cl100k_base_2024_01_01\"",
        "secret_name: \"prod/db/main-2024-01\"",
        "token_url: \"https://login.acme.test/oauth2/v2.0\"",
        "password = \"hunter2\"",
        "KeyUsageToken: X509HardwareKeyUsageFlags,",
        "api_key: example_9f3a7c1e5b8d2046fa9c",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----",
    ] {
        assert!(kinds(harmless).is_empty(), "{harmless}: {:?}", find(harmless));
    }
}

#[test]
fn an_assigned_known_token_keeps_its_kind() {
    assert_eq!(kinds(&format!("token = \"ghp_{}\"", noise(36))), ["github-token"]);
}

#[test]
fn redacting_keeps_the_rest_and_its_lines() {
    let pem = format!("-----BEGIN {0}-----\n{1}\n-----END {0}-----", "PRIVATE KEY", noise(64));
    let text = format!("one\n{pem}\nfour ghp_{} é", noise(36));
    let clean = redact(&text);
    assert_eq!(clean, "one\n[redacted: private-key]\n\n\nfour [redacted: github-token] é");
    assert_eq!(clean.lines().count(), text.lines().count());
    assert_eq!(redact("nothing here"), "nothing here");
    assert!(matches!(redact("nothing here"), Cow::Borrowed(_)));
    assert!(find(&clean).is_empty());
}

#[test]
fn findings_ascend_and_do_not_overlap() {
    let text = format!("ghp_{0} sk-ant-{0} token=\"{0}\" https://a:ghp_{0}@h {0}", noise(40));
    let found = find(&text);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start));
}

/// Text that makes every matcher begin, and none end, is still read in time in proportion to its length.
#[test]
fn hostile_text_takes_linear_time() {
    // The best of three: another process may take the processor in between.
    let time = |text: &str| {
        let once = || {
            let start = std::time::Instant::now();
            std::hint::black_box(find(text));
            start.elapsed().as_secs_f64()
        };
        once().min(once()).min(once())
    };
    for part in [
        "-----BEGIN PRIVATE KEY-----\n",
        "token='token=\"",
        "eyJ",
        "eyJ-",
        "eyJa.eyJ",
        "a://b:",
        "sk-",
        "=",
        "secret=",
        "ghp_a-",
    ] {
        let (short, long) = (part.repeat(12_500 / part.len()), part.repeat(200_000 / part.len()));
        let (short, long) = (time(&short).max(0.001), time(&long));
        assert!(long < short * 16.0 * 6.0, "{part:?}: {short} s, sixteen times as much: {long} s");
    }
}

#[test]
fn any_text_is_read_without_a_slip() {
    // A small generator: pieces that begin something, cut and mixed with characters of several bytes.
    let pieces = [
        "sk-",
        "ghp_",
        "://",
        "a:b@",
        "é",
        "日",
        "token=\"",
        "\"",
        "-----BEGIN PRIVATE KEY-----",
        "-----END ",
        "eyJ.",
        "SG.",
        noise(50),
        "=",
        ":",
        "\n",
    ];
    let mut seed = 7u64;
    for _ in 0..5_000 {
        let mut text = String::new();
        for _ in 0..8 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
        }
        let clean = redact(&text);
        assert_eq!(clean.matches('\n').count(), text.matches('\n').count());
    }
}

/// Real agents and real documents: what is found there has been looked at, and is not a secret that leaked.
#[test]
fn real_documents_give_no_false_alarm() {
    let Some(corpus) = std::env::var_os("CONVOKE_CORPUS").filter(|folder| !folder.is_empty()) else {
        // Past the harness, which keeps to itself what a passing test prints.
        let said = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: set CONVOKE_CORPUS to the folder of real input to scan it\n",
        );
        said.expect("stderr");
        return;
    };
    let (mut folders, mut files, mut found) = (vec![std::path::PathBuf::from(corpus)], 0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                files += 1;
                found.extend(
                    find(&text)
                        .into_iter()
                        .map(|secret| format!("{}: {} {}", path.display(), secret.kind, &text[secret.range])),
                );
            }
        }
    }
    assert!(files > 200, "only {files} files in CONVOKE_CORPUS");
    assert!(found.is_empty(), "{found:#?}");
}
