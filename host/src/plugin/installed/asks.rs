//! What a component asks for, a line each: as it is asked when it is granted.

use crate::plugin::grants::{Wish, missing, plain};
use crate::plugin::manifest::Manifest;

/// What a component asks for beyond reading the project. Each subcommand of a program is a line of its own, so that two
/// versions can be compared line by line. None of it can move a terminal's cursor.
pub fn asks(manifest: &Manifest) -> Vec<String> {
    let parts = |wish: &Wish| match wish {
        Wish::Run(_) => wish.parts(),
        whole => vec![whole.clone()],
    };
    missing(&manifest.capabilities, None).iter().flat_map(parts).map(|part| plain(&part)).collect()
}
