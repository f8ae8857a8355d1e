//! One source, two forms: the macros that export a policy.

/// Exports a policy: as a component where the crate is built for WASM, as a native library elsewhere.
///
/// Takes an expression that makes the policy, which is evaluated anew for each decision: a policy has no state. Once a
/// crate; the crate's `[lib]` has `crate-type = ["cdylib"]`.
///
/// ```
/// use convoke_policy::{Policy, RouteFacts, RouteTo, Tier};
///
/// struct Cheap;
///
/// impl Policy for Cheap {
///     fn route(&self, _: &RouteFacts) -> RouteTo {
///         RouteTo::tier(Tier::Speed, "always")
///     }
/// }
///
/// convoke_policy::export!(Cheap);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export {
    ($policy:expr) => {
        $crate::export_component!($policy);
        $crate::export_library!($policy);
    };
}

/// Exports a policy as a component of the world `convoke:policy/policy`, where the crate is built for WASM; else
/// nothing. `convoke build` makes the component.
#[macro_export]
macro_rules! export_component {
    ($policy:expr) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Component;

            impl $crate::component::Guest for Component {
                fn describe() -> ::std::string::String {
                    $crate::Description::new(::core::env!("CARGO_PKG_NAME"), ::core::env!("CARGO_PKG_VERSION"))
                        .to_json()
                }

                fn decide(
                    facts: ::std::string::String,
                ) -> ::core::result::Result<::std::string::String, ::std::string::String> {
                    $crate::component::tell_panics();
                    $crate::decide_json(&$policy, &facts)
                }
            }

            $crate::component::export!(Component);
        };
    };
}

/// Exports a policy as a native library with the C ABI of [`abi`](crate::abi), where the crate is built for a machine;
/// else nothing. `cargo build --release` makes the library.
#[macro_export]
macro_rules! export_library {
    ($policy:expr) => {
        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            #[cfg(not(panic = "unwind"))]
            ::core::compile_error!(
                "a policy that is a native library needs panic = \"unwind\": an abort ends the host"
            );

            extern "C" fn describe() -> $crate::abi::Answer {
                $crate::abi::guard(|| {
                    let name = ::core::env!("CARGO_PKG_NAME");
                    ::core::result::Result::Ok(
                        $crate::Description::new(name, ::core::env!("CARGO_PKG_VERSION")).to_json(),
                    )
                })
            }

            extern "C" fn decide(facts: *const u8, length: usize) -> $crate::abi::Answer {
                $crate::abi::guard(|| {
                    // SAFETY: the host gives the start and the length of a text that lives until this function returns.
                    #[allow(unsafe_code)]
                    let facts = unsafe { $crate::abi::text(facts, length) }?;
                    $crate::decide_json(&$policy, facts)
                })
            }

            static TABLE: $crate::abi::Table = $crate::abi::Table::new(describe, decide);

            // SAFETY: no other function of a policy has this name; a crate exports one policy.
            #[allow(unsafe_code)]
            #[unsafe(no_mangle)]
            extern "C" fn convoke_policy_v1() -> *const $crate::abi::Table {
                $crate::abi::keep_panics_quiet();
                &TABLE
            }
        };
    };
}
