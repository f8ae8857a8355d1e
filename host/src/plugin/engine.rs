//! The wasmtime engine, and components ready to run.
//!
//! A component is compiled once and kept, by its digest and the engine's own hash, in a private folder of the user's
//! cache. The pool of instances makes a start cheap; where its address space is refused, the engine goes on without it.

use std::fs;
use std::path::{Path, PathBuf};

use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::bindings::concluding::exports::convoke::plugin::conclusion;
use super::bindings::exports::convoke::plugin::handler;
use super::imports::{self, State};
use crate::config::files::write_atomic;

/// How many sandboxes may live at once: the 100 instances of the user, with room for plans and replacements.
pub const SANDBOXES: u32 = 128;

/// The modules that a component may be linked of. One of Rust has 3, one of Python 14: the interpreter, its libraries, and
/// what the tool puts between them. What is not used is a reserved address.
const CORE_INSTANCES_EACH: u32 = 24;

/// So much native code is kept, in bytes: one component of Python has 45 MB, and each build of it is another one.
const MOST_KEPT: u64 = 1 << 30;

/// Why a component can't be made ready.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime can't start at all.
    #[error("the WebAssembly engine does not start: {0}")]
    Start(String),
    /// The bytes don't compile.
    #[error("`{name}` does not compile: {reason}")]
    Compile {
        /// The plugin.
        name: String,
        /// What the compiler said.
        reason: String,
    },
    /// It needs something that the host doesn't offer, or offers otherwise.
    #[error("`{name}` does not fit this host: {reason}")]
    Link {
        /// The plugin.
        name: String,
        /// What doesn't fit.
        reason: String,
    },
}

/// The engine with the host's side of the contract.
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Linker<State>,
    pooled: bool,
}

impl Engine {
    /// An engine whose sandboxes may have so much memory each.
    ///
    /// # Errors
    /// When wasmtime can't run on this machine.
    pub fn new(memory_cap: usize) -> Result<Self, EngineError> {
        let start = |error: wasmtime::Error| EngineError::Start(format!("{error:#}"));
        let (engine, pooled) = match wasmtime::Engine::new(&config(Some(memory_cap))) {
            Ok(engine) => (engine, true),
            // The pool reserves address space for every sandbox at once, which a container may refuse.
            Err(_) => (wasmtime::Engine::new(&config(None)).map_err(start)?, false),
        };
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(start)?;
        imports::add_to_linker(&mut linker).map_err(start)?;
        Ok(Self { engine, linker, pooled })
    }

    /// Whether instances come from the pool.
    pub fn is_pooled(&self) -> bool {
        self.pooled
    }

    pub(super) fn raw(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// Makes a component ready: from the cache, else by compiling it, and then it is kept there.
    ///
    /// `digest` is the sha-256 of `bytes`, in hex. A cache that can't be read or written costs time only.
    ///
    /// # Errors
    /// When it doesn't compile, or doesn't fit the contract.
    pub fn load(&self, name: &str, digest: &str, bytes: &[u8], cache: Option<&Path>) -> Result<Loaded, EngineError> {
        let component = compiled(&self.engine, digest, bytes, cache)
            .map_err(|error| EngineError::Compile { name: name.to_owned(), reason: format!("{error:#}") })?;
        self.link(name, &component)
    }

    /// Whether native code of the component with this digest lies in the cache. [`load`](Self::load) may still find it broken, and
    /// then compiles the component, and so validates it.
    pub fn is_compiled(&self, digest: &str, cache: &Path) -> bool {
        kept_path(&self.engine, cache, digest).is_some_and(|path| path.is_file())
    }

    fn link(&self, name: &str, component: &Component) -> Result<Loaded, EngineError> {
        let link = |error: wasmtime::Error| EngineError::Link { name: name.to_owned(), reason: format!("{error:#}") };
        let instance = self.linker.instantiate_pre(component).map_err(link)?;
        let handler = handler::GuestIndices::new(&instance).map_err(link)?;
        let conclusion = conclusion::GuestIndices::new(&instance).ok();
        Ok(Loaded { instance, handler, conclusion })
    }
}

/// A component, ready to be linked: from the cache, else compiled, and then kept there. `digest` is the sha-256 of
/// `bytes`, in hex. A cache that can't be read or written costs time only.
///
/// # Errors
/// It doesn't compile.
pub(crate) fn compiled(
    engine: &wasmtime::Engine,
    digest: &str,
    bytes: &[u8],
    cache: Option<&Path>,
) -> wasmtime::Result<Component> {
    let kept_path = cache.and_then(|folder| kept_path(engine, folder, digest));
    if let Some(component) = kept_path.as_deref().and_then(|path| kept(engine, path)) {
        return Ok(component);
    }
    let native = engine.precompile_component(bytes)?;
    if let Some(path) = &kept_path {
        // Without a cache the next start compiles again: slower, not wrong.
        let _ = write_atomic(path, &native, Some(0o600));
        tidy(path, MOST_KEPT);
    }
    deserialize(engine, &native)
}

/// Removes the oldest native code beside that which has just been written, until all of it has at most so many bytes. Who
/// runs it keeps it; who needs it again compiles it again.
fn tidy(newest: &Path, most: u64) {
    let Some(Ok(entries)) = newest.parent().map(fs::read_dir) else { return };
    let of = |entry: fs::DirEntry| {
        let (path, metadata) = (entry.path(), entry.metadata().ok()?);
        let is_kept = metadata.is_file() && path.extension()? == "cwasm";
        is_kept.then_some((metadata.modified().ok()?, metadata.len(), path))
    };
    let mut files: Vec<_> = entries.filter_map(Result::ok).filter_map(of).collect();
    files.sort();
    let mut sum: u64 = files.iter().map(|(_, length, _)| length).sum();
    for (_, length, path) in files.iter().filter(|(_, _, path)| path != newest) {
        if sum <= most {
            return;
        }
        if fs::remove_file(path).is_ok() {
            sum -= length;
        }
    }
}

/// Where the native code of a component is kept. None: the folder can't be made private.
fn kept_path(engine: &wasmtime::Engine, folder: &Path, digest: &str) -> Option<PathBuf> {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    private_folder(folder).ok()?;
    Some(folder.join(format!("{digest}-{:016x}.cwasm", hasher.finish())))
}

fn kept(engine: &wasmtime::Engine, path: &Path) -> Option<Component> {
    if !is_private(path) {
        return None;
    }
    // SAFETY: the file is native code that this host wrote: it lies in a folder that only this user can write, under
    // the digest of its component and of this engine's configuration, and belongs to this user.
    #[allow(unsafe_code)]
    unsafe { Component::deserialize_file(engine, path) }.ok()
}

fn deserialize(engine: &wasmtime::Engine, native: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes come from `precompile_component` of the same engine, in this process.
    #[allow(unsafe_code)]
    unsafe {
        Component::deserialize(engine, native)
    }
}

/// With a memory cap: instances come from a pool.
fn config(pool: Option<usize>) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true).wasm_component_model_async(true).consume_fuel(true);
    match pool {
        Some(memory_cap) => {
            let mut pool = PoolingAllocationConfig::default();
            pool.total_component_instances(SANDBOXES)
                .total_core_instances(SANDBOXES * CORE_INSTANCES_EACH)
                .total_memories(SANDBOXES)
                .total_tables(SANDBOXES * CORE_INSTANCES_EACH)
                .total_stacks(SANDBOXES * 4)
                .max_memory_size(memory_cap)
                .max_memories_per_module(1)
                .max_core_instances_per_component(CORE_INSTANCES_EACH)
                .max_memories_per_component(1)
                .max_component_instance_size(1 << 20)
                .max_core_instance_size(1 << 20)
                .table_elements(100_000)
                .linear_memory_keep_resident(0)
                .table_keep_resident(0);
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        }
        None => {
            config.memory_reservation(64 << 20);
        }
    }
    config
}

/// Makes a folder that only this user can read and write.
pub(crate) fn private_folder(folder: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        if fs::metadata(folder)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
    }
    #[cfg(not(unix))]
    fs::create_dir_all(folder)
}

/// Whether a file is this user's own, and nobody else can write it.
pub(crate) fn is_private(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (Ok(file), Some(Ok(folder))) = (fs::symlink_metadata(path), path.parent().map(fs::metadata)) else {
            return false;
        };
        file.is_file() && file.uid() == folder.uid() && file.mode() & 0o022 == 0 && folder.mode() & 0o022 == 0
    }
    #[cfg(not(unix))]
    path.is_file()
}

/// A component that is ready to run. Cheap to clone.
#[derive(Clone)]
pub struct Loaded {
    pub(super) instance: InstancePre<State>,
    pub(super) handler: handler::GuestIndices,
    pub(super) conclusion: Option<conclusion::GuestIndices>,
}

impl Loaded {
    /// Whether it exports `conclusion`.
    pub fn concludes(&self) -> bool {
        self.conclusion.is_some()
    }
}

#[cfg(test)]
mod grown;

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn the_oldest_native_code_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (age, name) in
            [(9, "old.cwasm"), (8, "older.txt"), (5, "mid.cwasm"), (1, "late.cwasm"), (7, "newest.cwasm")]
        {
            let file = fs::File::create(path(name)).unwrap();
            file.set_len(100).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 - age)).unwrap();
        }
        tidy(&path("newest.cwasm"), 400);
        assert!(path("old.cwasm").exists(), "all of it fits");
        tidy(&path("newest.cwasm"), 250);
        let there =
            ["old.cwasm", "mid.cwasm", "late.cwasm", "newest.cwasm", "older.txt"].map(|name| path(name).exists());
        assert_eq!(there, [false, false, true, true, true]);
    }

    #[test]
    fn native_code_is_known_by_its_digest_and_what_is_broken_is_compiled_again() {
        let (engine, cache) = (Engine::new(64 << 20).unwrap(), tempfile::tempdir().unwrap());
        let bytes = crate::plugin::embedded::EMBEDDED[0].bytes;
        let (digest, other) = (crate::plugin::sha256_hex(bytes), "0".repeat(64));
        assert!(!engine.is_compiled(&digest, cache.path()));
        engine.load("x", &digest, bytes, Some(cache.path())).unwrap();
        assert_eq!(
            (engine.is_compiled(&digest, cache.path()), engine.is_compiled(&other, cache.path())),
            (true, false)
        );
        let path = kept_path(engine.raw(), cache.path(), &digest).unwrap();
        fs::write(&path, b"no native code").unwrap();
        engine.load("x", &digest, bytes, Some(cache.path())).unwrap();
        assert!(fs::metadata(&path).unwrap().len() > 1_000, "it was compiled again");
        fs::write(&path, b"no native code").unwrap();
        let damaged = &bytes[..bytes.len() - 7];
        assert!(engine.load("x", &digest, damaged, Some(cache.path())).is_err(), "compiling it looks at all of it");
    }
}
