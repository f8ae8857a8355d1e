//! The contract, as wasmtime sees it. Generated from `wit/`.

#![allow(missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    path: "wit",
    world: "everything",
    with: {
        "convoke:plugin/worker.task": crate::plugin::imports::TaskHandle,
    },
    imports: { default: trappable },
});

/// The optional export.
pub mod concluding {
    wasmtime::component::bindgen!({
        inline: "package convoke:host; world concluding { export convoke:plugin/conclusion@0.1.0; }",
        path: "wit",
        world: "convoke:host/concluding",
        with: {
            "convoke:plugin/types": crate::plugin::bindings::convoke::plugin::types,
            "convoke:plugin/worker": crate::plugin::bindings::convoke::plugin::worker,
        },
        require_store_data_send: true,
    });
}

#[cfg(test)]
mod tests {
    use wit_parser::{Resolve, TypeDefKind, UnresolvedPackageGroup};

    const PACKAGE: [(&str, &str); 3] = [
        ("types.wit", include_str!("../../wit/types.wit")),
        ("world.wit", include_str!("../../wit/world.wit")),
        ("capabilities.wit", include_str!("../../wit/capabilities.wit")),
    ];

    fn resolved(files: &[(&str, &str)]) -> Resolve {
        let mut map = wit_parser::SourceMap::new();
        for (name, text) in files {
            map.push_str(name, *text);
        }
        let group: UnresolvedPackageGroup = map.parse().map_err(|(_, error)| error).expect("it parses");
        let mut resolve = Resolve::default();
        resolve.push_group(group).expect("it resolves");
        resolve
    }

    #[test]
    fn what_may_grow_can_grow_without_a_break() {
        let closed = ["error", "estimate", "metric", "replacement", "usage", "entry", "match"];
        let resolve = resolved(&PACKAGE);
        for (_, definition) in resolve.types.iter() {
            let Some(name) = definition.name.as_deref() else { continue };
            match &definition.kind {
                TypeDefKind::Record(record) if !closed.contains(&name) => {
                    assert!(record.fields.iter().any(|field| field.name == "extra"), "record {name} has no `extra`");
                }
                TypeDefKind::Variant(variant) => {
                    assert!(variant.cases.iter().any(|case| case.name == "other"), "variant {name} has no `other`");
                }
                _ => {}
            }
        }
    }
}
