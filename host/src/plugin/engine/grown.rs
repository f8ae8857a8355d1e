//! A host whose contract has grown runs what was built before.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use convoke_runtime::event::Events;
use wasmtime::component::Linker;

use super::Engine;
use crate::plugin::bindings::convoke::plugin::{
    log as wit_log, project as wit_project, types as wit, worker as wit_worker,
};
use crate::plugin::imports::{Host, State};
use crate::plugin::inspect::inspect;
use crate::plugin::outside::Outside;
use crate::plugin::project::{Limits, Project};
use crate::plugin::sandbox::{Caps, Invocation, Sandbox};

const CAPS: Caps = Caps { memory: 512 << 20, fuel: 100_000_000_000, own_time: Duration::from_secs(600) };

/// The host's side, with the version of the contract raised where it has grown.
fn grown(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wit_worker::add_to_linker::<_, Host>(&mut linker, |state| state)?;
    wit_project::add_to_linker::<_, Host>(&mut linker, |state| state)?;
    wit::add_to_linker::<_, Host>(&mut linker, |state| state)?;
    // One more function.
    let mut log = linker.instance("convoke:plugin/log@0.1.1")?;
    log.func_wrap("log", |_, (_, _): (wit_log::Level, String)| Ok(()))?;
    log.func_wrap("flush", |_, (): ()| Ok(()))?;
    // One more interface.
    linker.instance("convoke:plugin/weather@0.1.1")?.func_wrap("today", |_, (): ()| Ok(("fair".to_owned(),)))?;
    Ok(linker)
}

#[tokio::test]
async fn a_host_with_one_more_function_and_one_more_interface_runs_what_was_built_before() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/prebuilt/contract-0.1.0.wasm");
    let bytes = std::fs::read(path).unwrap();
    let inspected = inspect(&bytes).unwrap();
    let mut engine = Engine::new(CAPS.memory).unwrap();
    engine.linker = grown(&engine.engine).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let plugin = engine.load("contract", &inspected.digest, &bytes, Some(cache.path())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "TODO\n").unwrap();
    let sandbox = Sandbox {
        engine: Arc::new(engine),
        plugin,
        project: Project::open(folder.path(), Vec::new(), Limits::default()).unwrap(),
        outside: Arc::new(Outside::default()),
        call: Invocation {
            arguments: r#"{"word":"TODO","path":[]}"#.to_owned(),
            today: "2026-11-20".to_owned(),
            ..Invocation::default()
        },
        caps: CAPS,
        events: Events::new(),
        fixed: None,
    };
    let work = sandbox.plan(sandbox.log()).await.unwrap();
    assert_eq!(work.items.len(), 7);
    assert_eq!(work.notes, ["1 files, 5 bytes, 1 lines"]);
}
