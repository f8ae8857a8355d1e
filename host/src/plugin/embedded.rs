//! The plugins that come with the host, so that they run without being installed.

/// A component inside this binary.
#[derive(Clone, Copy, Debug)]
pub struct Embedded {
    /// The command.
    pub name: &'static str,
    /// The component. `.ci/prebuilt` makes it from the sources in `plugins/`.
    pub bytes: &'static [u8],
}

/// All of them, by name.
pub const EMBEDDED: &[Embedded] = &[
    Embedded { name: "agent-audit", bytes: include_bytes!("../../prebuilt/agent-audit.wasm") },
    Embedded { name: "deps", bytes: include_bytes!("../../prebuilt/deps.wasm") },
    Embedded { name: "docs", bytes: include_bytes!("../../prebuilt/docs.wasm") },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::inspect::inspect;

    #[test]
    fn each_embedded_plugin_is_what_it_is_called() {
        for plugin in EMBEDDED {
            let inspected = inspect(plugin.bytes).expect("a component of this host");
            assert_eq!(inspected.manifest.name, plugin.name);
        }
    }
}
