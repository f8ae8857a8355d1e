//! The policy as a component: what [`export_component!`](crate::export_component) needs.

use std::sync::Once;

/// Generated from `wit/policy/`.
#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "policy",
        pub_export_macro: true,
        export_macro_name: "export_bindings",
        default_bindings_module: "convoke_policy::component::bindings",
    });
}

#[doc(hidden)]
pub use bindings::export_bindings as export;
pub use bindings::exports::convoke::policy::decisions::Guest;

use bindings::convoke::policy::log::{Level, log};

/// From now on, what a panic says goes to the host's log: without a standard error, the trap alone would remain.
pub fn tell_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string()))));
}
