//! Tables of a repository, a document and what is wrong in it.

use crate::markdown::parse;
use crate::names::testing::{repository, wrong};

const RUST: &[(&str, &str)] = &[
    (".gitignore", "/target\n*.log\nlocal/\n"),
    (".cargo/config.toml", "[alias]\nxtask = 'run'\n"),
    (
        "Cargo.toml",
        "[package]\nname = 'tool'\nrust-version = '1.80'\n[features]\nfast = []\n[dependencies]\nserde = '1'\n",
    ),
    (
        "src/main.rs",
        "use clap::Parser; struct A { dry_run: bool } fn f() { env::var(\"TOOL_HOST\"); env::var(\"TOOL_TIER\"); }",
    ),
    ("src/engine/store.rs", "const A: u16 = 7123;"),
    ("docs/Guide.md", ""),
    ("scripts/check.sh", ""),
    (".github/workflows/ci.yml", ""),
    ("Makefile", ".PHONY: lint\nlint:\n\techo\nrelease: lint\n"),
    ("compose.yaml", "services:\n  web:\n    ports: ['7999:80']\n  database:\n    image: x\n"),
];

const NODE: &[(&str, &str)] = &[
    ("package.json", r#"{"name":"shop","scripts":{"dev":"x","build:web":"y"},"engines":{"node":">=18"}}"#),
    ("web/src/cart.ts", "process.env.SHOP_URL; process.env.SHOP_KEY"),
    ("py/__init__.py", ""),
    ("py/tool.py", ""),
];

#[track_caller]
fn table(files: &[(&str, &str)], rows: &[(&str, &str, &[&str])]) {
    for (path, text, expected) in rows {
        assert_eq!(wrong(files, path, text), *expected, "{path}: {text}");
    }
}

#[test]
fn a_path_is_wrong_where_its_folder_is_there_and_it_is_not() {
    table(
        RUST,
        &[
            ("README.md", "See `src/engine/gone.rs`.", &["src/engine/gone.rs"]),
            ("README.md", "See `src/gone.rs:12`.", &["src/gone.rs:12"]),
            ("README.md", "See `.github/workflows/deploy.yml`.", &[".github/workflows/deploy.yml"]),
            ("README.md", "See `src/engine/parts/`.", &["src/engine/parts/"]),
            ("docs/Guide.md", "See `../src/gone.rs`.", &["../src/gone.rs"]),
            ("README.md", "```sh\n./scripts/publish.sh\n```", &["./scripts/publish.sh"]),
            ("README.md", "```sh\nbash scripts/publish.sh x\n```", &["scripts/publish.sh"]),
        ],
    );
}

#[test]
fn a_path_that_is_there_or_may_be_another_ones_is_not_wrong() {
    table(
        RUST,
        &[
            (
                "README.md",
                "See `src/engine/store.rs:3`, `engine/store.rs`, `src/engine/`, `src/engine` and `./src/main.rs`.",
                &[],
            ),
            ("docs/Guide.md", "See `../src/main.rs` and `src/main.rs#L3`.", &[]),
            ("README.md", "See `lib/other.rs` and `and/or`, `application/json`, `origin/main`, `I/O`.", &[]),
            ("README.md", "See `src/foo.rs`, `src/<x>.rs`, `src/*.rs`, `src/your-file.rs`, `path/to/it.rs`.", &[]),
            (
                "README.md",
                "See `target/debug/tool.rs`, `src/local/it.rs`, `docs/run.log.md/x.log`, `src/build/it.rs`.",
                &[],
            ),
            ("README.md", "See `/etc/it.conf`, `~/src/it.rs`, `../other/src/it.rs`, `$HOME/src/it.rs`.", &[]),
            ("README.md", "It creates `src/made.rs`; for example `src/some.rs`. `src/later.rs` is generated.", &[]),
            ("README.md", "The branch `docs/fix`, `src/engine/parts` and `gone.rs`.", &[]),
            ("CHANGELOG.md", "`src/gone.rs` is gone", &[]),
            ("tests/fixtures/x/README.md", "`src/gone.rs`", &[]),
            ("README.md", "```sh\ncat <<EOF > src/new.rs\nEOF\ncat src/new.rs\n```", &[]),
            ("README.md", "```sh\ngit clone https://git.example/a/other\ncd other\n./scripts/publish.sh\n```", &[]),
            ("README.md", "```text\n./scripts/publish.sh\n```", &[]),
        ],
    );
}

#[test]
fn a_file_that_moved_or_is_written_otherwise_has_one_candidate() {
    table(
        RUST,
        &[
            ("README.md", "See `src/store.rs`.", &["src/store.rs -> src/engine/store.rs"]),
            ("README.md", "See `former/place/store.rs:4`.", &["former/place/store.rs:4 -> src/engine/store.rs:4"]),
            ("README.md", "See `docs/guide.md`.", &["docs/guide.md -> docs/Guide.md"]),
            ("README.md", "See `Docs/Guide.md`.", &["Docs/Guide.md -> docs/Guide.md"]),
        ],
    );
    let twice = &[("a/one.rs", ""), ("b/one.rs", ""), ("src/x.rs", "")][..];
    assert_eq!(wrong(twice, "README.md", "See `src/one.rs`."), ["src/one.rs"]);
}

#[test]
fn scripts_targets_and_services_are_those_that_files_define() {
    table(
        RUST,
        &[
            ("README.md", "`make lints`", &["lints -> lint"]),
            ("README.md", "`make deploy`", &["deploy"]),
            ("README.md", "`make lint`, `make -j 2 release`, `make X=1`, `make TARGET`, `make <target>`", &[]),
            ("README.md", "`docker compose up web databas`", &["databas -> database"]),
            ("README.md", "`docker compose exec web sh`, `docker compose logs -f`, `docker compose up <service>`", &[]),
            ("README.md", "`npm run dev`, `just deploy`", &[]),
            ("README.md", "```sh\ncurl -O https://x.example/y.tgz\ntar xf y.tgz\nmake deploy\n```", &[]),
        ],
    );
    table(
        NODE,
        &[
            ("README.md", "`npm run build`", &["build"]),
            ("README.md", "`npm run build:wob`", &["build:wob -> build:web"]),
            ("README.md", "`npm test`", &["test"]),
            (
                "README.md",
                "`npm run dev`, `npm ci`, `yarn add x`, `npx vite`, `npm run <script>`, `pnpm run build:web`",
                &[],
            ),
            ("README.md", "`docker compose up web`, `make deploy`", &["web", "deploy"]),
            ("README.md", "`make install`", &[]),
            ("README.md", "```yaml\nservices:\n  web: {}\n```\n\n`docker compose up web`", &[]),
        ],
    );
    let broken = &[("package.json", "{"), ("Makefile", "$(ALL):\n")][..];
    table(broken, &[("README.md", "`npm run dev` and `make deploy`", &[])]);
}

#[test]
fn what_cargo_is_asked_for_is_in_a_manifest() {
    table(
        RUST,
        &[
            ("README.md", "`cargo run --bin tol`", &["tol -> tool"]),
            ("README.md", "`cargo run --example demo`", &["demo"]),
            ("README.md", "`cargo test --features slow,fast`", &["slow"]),
            ("README.md", "`cargo build -p extra`", &["extra"]),
            (
                "README.md",
                "`cargo run --bin tool --features fast -- --bin x`, `cargo build -p serde`, `cargo xtask -p x`",
                &[],
            ),
            ("README.md", "`cargo add x --features y`, `cargo install other`, `cargo test -p NAME`", &[]),
        ],
    );
    table(NODE, &[("README.md", "`cargo run --bin tol`", &[])]);
}

#[test]
fn variables_are_wrong_where_the_code_reads_others_that_begin_the_same() {
    table(
        RUST,
        &[
            ("README.md", "Set `TOOL_TIERS`.", &["TOOL_TIERS -> TOOL_TIER"]),
            ("README.md", "```sh\nexport TOOL_NOTHING=1\n```", &["TOOL_NOTHING"]),
            ("README.md", "Set `TOOL_TIER`, `OTHER_THING`, `AWS_REGION`, `TOOL_`, `DRY_RUN`, `TOOL_DRY_RUN_`.", &[]),
        ],
    );
    let dynamic = &[("a.py", "os.environ['AB1_A']; os.environ['AB1_B']; os.environ['AB1_' + x]")][..];
    table(dynamic, &[("README.md", "Set `AB1_C`.", &[])]);
}

#[test]
fn flags_are_wrong_where_no_code_has_their_words() {
    table(
        RUST,
        &[
            ("README.md", "`tool --dry-ran`", &["dry-ran"]),
            (
                "README.md",
                "`tool --dry-run --no-dry-run --help --version`, `other --dry-ran`, `tool -- --dry-ran`",
                &[],
            ),
        ],
    );
    let python = &[
        ("pyproject.toml", "[project]\nname = 'shop'\nrequires-python = '>=3.11'\n[project.scripts]\nshop = 'a:b'\n"),
        ("a.py", "argparse; add('--dry-run')"),
        ("cmd/ship/main.go", ""),
    ][..];
    table(
        python,
        &[
            ("README.md", "`shop --dry-ran`", &["dry-ran"]),
            ("README.md", "`ship --dry-ran`", &["dry-ran"]),
            ("README.md", "`shop --dry-run`, `main --dry-ran`", &[]),
            ("README.md", "Requires Python 3.9.", &["3.9"]),
        ],
    );
    table(NODE, &[("README.md", "`shop --dry-ran`", &[])]);
}

#[test]
fn ports_are_wrong_where_no_file_has_them() {
    table(
        RUST,
        &[
            ("README.md", "Open <http://localhost:7124/x>.", &["7124"]),
            (
                "README.md",
                "Open <http://localhost:7123>, <http://localhost:7999>, <http://localhost:3000>, http://other:7124.",
                &[],
            ),
        ],
    );
    table(NODE, &[("README.md", "Open <http://localhost:7124>.", &[])]);
}

#[test]
fn least_versions_are_those_of_the_manifests_or_more() {
    table(
        RUST,
        &[
            ("README.md", "Requires Rust 1.70.", &["1.70"]),
            ("README.md", "Requires Rust 1.80 or Rust 1.85+, Node 16+.", &[]),
        ],
    );
    table(
        NODE,
        &[
            ("README.md", "You need Node.js 16 or later.", &["16"]),
            ("README.md", "Node.js 18+; we ran it on Node 12.", &[]),
        ],
    );
}

#[test]
fn modules_of_the_repositorys_own_packages_are_there() {
    table(
        NODE,
        &[
            ("README.md", "`python -m py.toll`", &["py.toll"]),
            ("README.md", "`python -m py.tool`, `python -m http.server`, `python -m pytest`", &[]),
        ],
    );
}

#[test]
fn imports_of_instructions_are_there() {
    table(
        RUST,
        &[
            ("CLAUDE.md", "@docs/Guide.md and @docs/style.md", &["docs/style.md"]),
            ("CLAUDE.md", "@~/mine.md, @someone, a@b.md", &[]),
            ("README.md", "@docs/style.md", &[]),
        ],
    );
}

#[test]
fn what_a_document_needs_to_know_is_small_and_names_its_files() {
    let facts = repository(RUST)
        .about(&parse("See `src/main.rs`, `engine/store.rs` and `src/gone.rs`, `gone.rs`."), "README.md");
    assert_eq!(facts.files, ["src/main.rs", "src/engine/store.rs"]);
    assert_eq!((facts.judged, facts.unjudged), (3, 1));
    let text = serde_json::to_string(&facts).expect("JSON");
    assert_eq!(serde_json::from_str::<crate::names::Facts>(&text).expect("facts"), facts);
}

/// A result is used again while its item's input is the same.
#[test]
fn a_change_that_a_document_does_not_mention_changes_nothing_for_it() {
    let document = parse("See `src/main.rs` and `src/gone.rs`; `make deploy`.");
    let before = repository(RUST).about(&document, "README.md");
    let more: Vec<(&str, &str)> = RUST.iter().copied().chain([("src/other.rs", "fn x() {}")]).collect();
    assert_eq!(repository(&more).about(&document, "README.md"), before);
}

#[test]
fn without_names_that_begin_with_a_dot_none_is_missing() {
    let seen = &[("src/a1.rs", "")][..];
    assert_eq!(wrong(seen, "README.md", "`.github/workflows/x1.yml`, `src/.hidden/x1.yml`"), [""; 0]);
}

/// What a stranger writes costs no more than its length.
#[test]
fn hostile_documents_and_code_take_no_time() {
    let code = "A_B ".repeat(200_000);
    let files = &[("a.js", code.as_str()), ("package.json", "{\"scripts\":{}}"), ("src/x1.rs", "")][..];
    for text in [
        "Requires Go 1.1 ".repeat(20_000),
        "# Needs Go 1.1+\n\n".repeat(20_000),
        "`npm run a1` `src/b1/c.rs` ".repeat(20_000),
        (0..20_000).map(|at| format!("`src/{at}/it.rs` ")).collect(),
        format!("```sh\n{}\n```", "touch a1 b1\nmake c1\n".repeat(20_000)),
        format!("```sh\n{}\n```", "\\\n".repeat(50_000)),
        format!("```sh\n{}\n```", "<<A ".repeat(50_000)),
    ] {
        wrong(files, "README.md", &text);
    }
}
