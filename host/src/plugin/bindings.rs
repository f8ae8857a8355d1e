//! The contract, as wasmtime sees it. Generated from `wit/`.

#![allow(missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "command",
    with: {
        "convoke:plugin/worker.task": crate::plugin::imports::TaskHandle,
    },
    imports: { default: trappable },
});

/// The optional export.
pub mod concluding {
    wasmtime::component::bindgen!({
        inline: "package convoke:host; world concluding { export convoke:plugin/conclusion@0.1.0; }",
        path: "../wit",
        world: "convoke:host/concluding",
        with: {
            "convoke:plugin/types": crate::plugin::bindings::convoke::plugin::types,
            "convoke:plugin/worker": crate::plugin::bindings::convoke::plugin::worker,
        },
        require_store_data_send: true,
    });
}
