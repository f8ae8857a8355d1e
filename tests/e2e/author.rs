//! What authors use: `convoke new`, `convoke build` and `convoke dev`, with the real toolchains.
//!
//! Rust is compiled where the target for it is installed. componentize-py is there where `CONVOKE_COMPONENTIZE_PY` names it;
//! `.ci/full` installs it. What is skipped is said aloud.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::http::Server;
use crate::support::{Call, World, repository, until};

/// Says something that whoever reads the test's output should know.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Whether Rust can be compiled to components here; said, where not.
pub(crate) fn has_target() -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", "wasm32-wasip2"]).current_dir(repository());
    let found = rustc.output().is_ok_and(|output| {
        output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    });
    if !found {
        say("SKIPPED: no target wasm32-wasip2 on this machine, so nothing is built from Rust");
    }
    found
}

/// componentize-py; none: skipped, and said.
pub(crate) fn componentize() -> Option<PathBuf> {
    let found = std::env::var_os("CONVOKE_COMPONENTIZE_PY").filter(|path| !path.is_empty()).map(PathBuf::from);
    if found.is_none() {
        say("SKIPPED: CONVOKE_COMPONENTIZE_PY does not name a componentize-py, so nothing is built from Python");
    }
    found
}

/// Lets a call use the toolchains of whoever runs the tests. What is compiled is shared between the tests.
pub(crate) fn with_toolchains(mut call: Call) -> Call {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        call = call.env(name, std::env::var_os(name).unwrap_or_else(|| home.join(folder).into()));
    }
    // Outside of the repository, whose toolchain file says the same.
    call = call.env("RUSTUP_TOOLCHAIN", toolchain());
    call.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("author"))
}

fn toolchain() -> String {
    let text = fs::read_to_string(repository().join("rust-toolchain.toml")).expect("the toolchain");
    let line = text.lines().find_map(|line| line.strip_prefix("channel = ")).expect("a channel");
    line.trim_matches('"').to_owned()
}

/// A `PATH` on which componentize-py comes first.
fn path_with(program: &Path) -> std::ffi::OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let folder = program.parent().expect("a folder").to_owned();
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&rest))).expect("a PATH")
}

async fn dev_builds_again_after_a_change_and_waits_where_that_fails(world: &World, folder: &Path) {
    let source = folder.join("src/lib.rs");
    let good = fs::read_to_string(&source).expect("text");
    let call = with_toolchains(world.convoke(["dev", ".", "--", "fixtures/small", "--format", "json"])).within(folder);
    let running = call.start().await;
    let waits = |count: usize| {
        let running = &running;
        move || running.stderr_so_far().matches("waiting for a change").count() >= count
    };
    until("the first run", waits(1)).await;
    assert!(running.stdout_so_far().contains("no-title"), "{}", running.stderr_so_far());
    fs::write(&source, "fn broken(").expect("written");
    until("the failed build", waits(2)).await;
    assert!(running.stderr_so_far().contains("`cargo build` failed"), "{}", running.stderr_so_far());
    fs::write(&source, good.replace("\"documents\"", "\"papers\"")).expect("written");
    until("the run of what was changed", waits(3)).await;
    assert!(running.stdout_so_far().contains("papers"), "{}", running.stdout_so_far());
    running.interrupt();
    running.end().await.exits(130);
    world.convoke(["dev", "nowhere"]).run().await.exits(4).says("has no");
}

/// One test, so that what takes long is compiled once for all of it.
#[tokio::test]
async fn a_new_project_in_rust_builds_and_runs_at_once_and_again_after_a_change() {
    let world = World::new();
    let done = world.convoke(["new", "word-count"]).run().await.exits(0);
    done.says("cd word-count && convoke test");
    world.convoke(["new", "word-count"]).run().await.exits(2).says("is there already").says("--path");
    if !has_target() {
        return;
    }
    let folder = world.project().join("word-count");
    let begun = Instant::now();
    with_toolchains(world.convoke(["build"])).within(&folder).compile().await.exits(0).says("built word-count 0.1.0");
    say(&format!("new project in Rust: built in {:.1} s", begun.elapsed().as_secs_f64()));
    let report = world
        .convoke(["./word-count.wasm", "--backend", "offline", "--format", "json", "fixtures/small"])
        .within(&folder)
        .run()
        .await
        .exits(0)
        .json();
    assert_eq!(report["census"]["done"], 2, "{report}");
    assert_eq!(report["findings"][0]["rule"], "no-title", "{report}");
    // The same sources, elsewhere, are the same component.
    let elsewhere = world.path("elsewhere");
    world.convoke(["new", "word-count", "--path", elsewhere.to_str().expect("UTF-8")]).run().await.exits(0);
    fs::copy(folder.join("Cargo.lock"), elsewhere.join("Cargo.lock")).expect("a copy");
    with_toolchains(world.convoke(["build", "--locked", "-q"])).within(&elsewhere).compile().await.exits(0);
    let bytes = |folder: &Path| fs::read(folder.join("word-count.wasm")).expect("a component");
    assert!(bytes(&folder) == bytes(&elsewhere), "the component depends on where it was built");
    dev_builds_again_after_a_change_and_waits_where_that_fails(&world, &folder).await;
}

#[tokio::test]
async fn a_new_project_is_refused_where_its_name_is_none() {
    let world = World::new();
    for name in ["../x", "a/b", "Upper", "build", "dev", "new", "", "match", "serde"] {
        world.convoke(["new", "--", name]).run().await.exits(2);
    }
    world.convoke(["new", "x", "--lang", "go"]).run().await.exits(2).says("python");
    assert_eq!(fs::read_dir(world.project()).expect("a folder").count(), 0, "nothing was written");
}

#[tokio::test]
async fn what_is_missing_for_a_build_is_said_with_what_installs_it() {
    let world = World::new();
    world.convoke(["new", "probe", "--lang", "python"]).run().await.exits(0);
    let folder = world.project().join("probe");
    // A machine without any tool of Python.
    let bare =
        |arguments: &[&'static str]| world.convoke(arguments.iter().copied()).within(&folder).env("PATH", "/none");
    bare(&["build", "--offline"])
        .run()
        .await
        .exits(4)
        .says("python3 -m venv .venv")
        .says("pip install componentize-py==");
    bare(&["build"]).run().await.exits(4).says("install Python 3.10 or newer");
    fs::remove_file(folder.join("app.py")).expect("removed");
    bare(&["build"]).run().await.exits(4).says("has no module app").says("tool.convoke");
    fs::write(folder.join("app.py"), "").expect("written");
    fs::write(folder.join("pyproject.toml"), "[project]\nversion = \"0.2.0\"\n").expect("written");
    bare(&["build"]).run().await.exits(4).says("pyproject.toml says version 0.2.0, plugin.toml says 0.1.0");
}

#[tokio::test]
async fn a_new_project_in_python_builds_and_runs_at_once() {
    let Some(program) = componentize() else { return };
    let world = World::new();
    world.convoke(["new", "todo-list", "--lang", "python"]).run().await.exits(0);
    let folder = world.project().join("todo-list");
    let begun = Instant::now();
    let build = world.convoke(["build", "--offline"]).within(&folder).env("PATH", path_with(&program));
    build.compile().await.exits(0).says("built todo-list 0.1.0");
    say(&format!("new project in Python: built in {:.1} s", begun.elapsed().as_secs_f64()));
    assert!(!folder.join(".venv").exists(), "what is there already is used");
    let run = || {
        let arguments = ["./todo-list.wasm", "--backend", "offline", "--format", "json", "--fresh", "fixtures/small"];
        world.convoke(arguments).within(&folder)
    };
    for which in ["first", "next"] {
        let begun = Instant::now();
        let report = run().run().await.exits(0).json();
        say(&format!("command in Python: {which} run in {:.1} s", begun.elapsed().as_secs_f64()));
        assert_eq!(report["census"]["done"], 2, "{report}");
        assert_eq!(report["findings"].as_array().map(Vec::len), Some(2), "{report}");
    }
    // A mistake of the author is told with its place.
    let app = fs::read_to_string(folder.join("app.py")).expect("text");
    fs::write(folder.join("app.py"), app.replace("partial = ", "partial = none.")).expect("written");
    let build = world.convoke(["build", "-q"]).within(&folder).env("PATH", path_with(&program));
    build.run().await.exits(0);
    let done = run().run().await;
    assert!(done.stdout.contains("NameError") && done.stdout.contains("app.py, line"), "{}", done.stdout);
    fs::write(folder.join("app.py"), "def (").expect("written");
    let build = world.convoke(["build", "-q"]).within(&folder).env("PATH", path_with(&program));
    build.run().await.exits(4).says("SyntaxError");
}

/// A command in Python that uses all that needs a grant, in its plan and in an item.
const OUTSIDE_APP: &str = r#"
from convoke_sdk import Call, Command, Fetch, Item, Partial, Process, Task, Work, export


async def told(what: Call | Task, url: str) -> str:
    ran = await what.run(Process("sort", ["-r", "b.txt", "-"], folder="docs", input=b"one\n", lifetime_s=60))
    got = await what.fetch(Fetch(url, "POST", [("x-asks", "so")], b"a question", lifetime_s=60))
    kept = await what.store_get("kept")
    return f"{ran.checked().text()!r} {got.checked().header('X-Said')} {got.json()} {kept}"


class Outside(Command):
    async def plan(self, call: Call) -> Work:
        await call.store_put("kept", b"in the plan", 60)
        url = call.arguments["url"]
        return Work([Item("outside", input=url), Item("refused", input=url)], notes=[await told(call, url)])

    async def run(self, call: Call, task: Task) -> Partial:
        if task.id == "refused":
            await task.run(Process("git", ["push"]))
        await task.store_put("kept", b"in the item", 60)
        return Partial.done(notes=await told(task, task.input))


export(Outside)
"#;

#[tokio::test]
async fn a_command_in_python_runs_programs_fetches_and_keeps() {
    let Some(program) = componentize() else { return };
    let answer = "HTTP/1.1 200 OK\r\nx-said: much\r\ncontent-length: 7\r\nconnection: close\r\n\r\n[1, 2]\n";
    let server = Server::start(move |_| answer.to_owned()).await;
    let world = World::new();
    world.convoke(["new", "outside", "--lang", "python"]).run().await.exits(0);
    let folder = world.project().join("outside");
    fs::write(folder.join("app.py"), OUTSIDE_APP).expect("written");
    let manifest = format!(
        "manifest_version = 1\nname = \"outside\"\nversion = \"0.1.0\"\ndescription = \"x\"\nlicense = \"MIT\"\n\n\
         [[argument]]\nname = \"url\"\nrequired = true\n\n[capabilities]\nstore = true\n\n\
         [[capabilities.process]]\nprogram = \"sort\"\n\n\
         [[capabilities.http]]\nhost = \"{}\"\nmethods = [\"POST\"]\n",
        server.address
    );
    fs::write(folder.join("plugin.toml"), manifest).expect("written");
    let build = world.convoke(["build", "--offline"]).within(&folder).env("PATH", path_with(&program));
    build.compile().await.exits(0);
    world.write("docs/b.txt", "two\n");
    let plugin = folder.join("outside.wasm");
    let plugin = plugin.to_str().expect("UTF-8");
    world.convoke(["grants", "add", plugin, "--all"]).run().await.exits(0);
    let url = server.url("/");
    let report = world.convoke([plugin, &url, "--backend", "offline", "--format", "json"]).run().await.exits(3).json();
    let text = report.to_string();
    for words in [
        r"'two\\none\\n' much [1, 2] b'in the plan'",
        r"'two\\none\\n' much [1, 2] b'in the item'",
        "its manifest does not ask for that",
    ] {
        assert!(text.contains(words), "{words}: {report:#}");
    }
    assert!(server.got().iter().all(|request| request.contains("x-asks: so")), "{:?}", server.got());
    assert_eq!((&report["census"]["done"], &report["census"]["failed"]), (&1.into(), &1.into()), "{report:#}");
}

#[tokio::test]
async fn the_sdk_of_python_passes_its_own_tests() {
    let folder = repository().join("sdk/python");
    let mut python = Command::new("python3");
    python.args(["-B", "-m", "unittest", "discover", "-s", "tests"]).current_dir(folder);
    match python.output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => say("SKIPPED: no python3 on this machine, so the SDK of Python is not tested"),
    }
}
