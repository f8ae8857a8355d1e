//! What may be done at once, by kind: over all workers of all commands of this process, and where two at once would harm
//! each other, over all processes of the user.
//!
//! Who wants to do something [begins](Operations::begin) it, and holds the [`Operation`] as long as it goes on. One
//! operation is begun inside of no other, so waits can't close a circle. A worker that waits here waits for the host: it
//! is not its own time. The numbers are the design's "operations at once"; configuration changes them.

mod lock;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config;
pub use lock::{Exclusive, LockError};

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A listing of folders.
    List,
    /// A search in files.
    Search,
    /// A file is read, or a path looked at.
    Read,
    /// A file is written.
    Write,
    /// A request to a host.
    Fetch,
    /// A process.
    Process,
    /// A change of something in a cloud.
    CloudWrite,
    /// Git: one at a time, over all processes.
    Git,
    /// Terraform: one at a time, over all processes.
    Terraform,
    /// Credentials are read or renewed: one at a time, over all processes.
    Credentials,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::List,
        Self::Search,
        Self::Read,
        Self::Write,
        Self::Fetch,
        Self::Process,
        Self::CloudWrite,
        Self::Git,
        Self::Terraform,
        Self::Credentials,
    ];

    /// The name in messages and of its lock.
    pub const fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Search => "search",
            Self::Read => "read",
            Self::Write => "write",
            Self::Fetch => "fetch",
            Self::Process => "process",
            Self::CloudWrite => "cloud-write",
            Self::Git => "git",
            Self::Terraform => "terraform",
            Self::Credentials => "credentials",
        }
    }

    /// Whether one at a time is all that there may be, over all processes of the user.
    pub const fn is_exclusive(self) -> bool {
        matches!(self, Self::Git | Self::Terraform | Self::Credentials)
    }

    /// The kind of a program, by its name: `/usr/bin/git` is git.
    pub fn of_program(program: &Path) -> Self {
        match program.file_stem().and_then(|name| name.to_str()) {
            Some("git") => Self::Git,
            Some("terraform" | "tofu") => Self::Terraform,
            _ => Self::Process,
        }
    }

    /// How many files one of them has open at once, at most: a search reads file by file, a listing folder by folder with
    /// its rules of what to ignore.
    const fn files(self) -> u32 {
        match self {
            Self::List => 2,
            Self::Search | Self::Read | Self::Write => 1,
            _ => 0,
        }
    }
}

/// What may be done at once. Clones count together.
#[derive(Clone, Debug)]
pub struct Operations(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    permits: [Arc<Semaphore>; Kind::ALL.len()],
    files: Arc<Semaphore>,
    most_files: u32,
    locks: Option<PathBuf>,
}

/// Something that is being done. Dropped, it makes place for the next.
#[derive(Debug)]
#[must_use = "dropped, it counts no more"]
pub struct Operation {
    // In the order in which they are given back: who is next here should find the lock free.
    _lock: Option<Exclusive>,
    _files: Option<OwnedSemaphorePermit>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for Operations {
    /// The numbers of the mode `balanced`, and nothing shared with other processes.
    fn default() -> Self {
        Self::new(&config::Limits::of(config::Mode::default()).operations, None)
    }
}

impl Operations {
    /// So many. `locks`: the folder in which processes see what the others do; none: they are not looked at.
    pub fn new(counts: &config::limits::Operations, locks: Option<PathBuf>) -> Self {
        let count = |kind| match kind {
            Kind::List => counts.list,
            Kind::Search => counts.search,
            Kind::Read => counts.read,
            Kind::Write => counts.write,
            Kind::Fetch => counts.fetch,
            Kind::Process => counts.process,
            Kind::CloudWrite => counts.cloud_write,
            Kind::Git | Kind::Terraform | Kind::Credentials => 1,
        };
        let semaphore = |count: u32| Arc::new(Semaphore::new(count.max(1) as usize));
        let most_files = counts.open_files.max(1);
        Self(Arc::new(Inner {
            permits: Kind::ALL.map(|kind| semaphore(count(kind))),
            files: semaphore(most_files),
            most_files,
            locks,
        }))
    }

    /// Waits until one more of the kind may be done. What is waited for in another process is told once, after a moment.
    /// Dropping the future gives everything back, if need be when the other process is done.
    ///
    /// # Errors
    /// Only of exclusive kinds: the lock can't be had, because of the file system.
    pub async fn begin(&self, kind: Kind, told: impl FnOnce(String) + Send + 'static) -> Result<Operation, LockError> {
        let permit = self.permits(kind).acquire_owned().await.ok();
        if let (true, Some(locks)) = (kind.is_exclusive(), self.0.locks.clone()) {
            // The thread may wait long after nobody wants it any more; until then no other thread may do the same.
            let locked = tokio::task::spawn_blocking(move || {
                let lock = Exclusive::hold(&locks, kind, told)?;
                Ok(Operation { _lock: Some(lock), _files: None, _permit: permit })
            });
            return locked.await.unwrap_or_else(|error| Err(LockError::gave_up(kind.name(), &error)));
        }
        let files = match kind.files() {
            0 => None,
            files => self.0.files.clone().acquire_many_owned(files.min(self.0.most_files)).await.ok(),
        };
        Ok(Operation { _lock: None, _files: files, _permit: permit })
    }

    /// How many more of a kind could begin now in this process.
    pub fn free(&self, kind: Kind) -> usize {
        self.0.permits[kind as usize].available_permits()
    }

    fn permits(&self, kind: Kind) -> Arc<Semaphore> {
        self.0.permits[kind as usize].clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;

    use super::*;

    fn nothing(_: String) {}

    fn counts() -> config::limits::Operations {
        config::Limits::of(config::Mode::default()).operations
    }

    #[test]
    fn every_kind_has_its_own_place_and_the_number_of_the_design() {
        let operations = Operations::default();
        let free: Vec<usize> = Kind::ALL.map(|kind| operations.free(kind)).to_vec();
        assert_eq!(free, [16, 24, 10, 3, 5, 3, 3, 1, 1, 1]);
        let fast = Operations::new(&config::Limits::of(config::Mode::Performance).operations, None);
        assert_eq!((fast.free(Kind::Fetch), fast.free(Kind::Process)), (32, 16));
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }

    #[test]
    fn a_program_is_known_by_its_name() {
        for (program, kind) in [
            ("/usr/bin/git", Kind::Git),
            ("terraform", Kind::Terraform),
            ("tofu.exe", Kind::Terraform),
            ("gitk", Kind::Process),
        ] {
            assert_eq!(Kind::of_program(Path::new(program)), kind, "{program}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_of_a_kind_than_allowed_and_no_more_files() {
        let operations =
            Operations::new(&config::limits::Operations { list: 4, read: 8, open_files: 5, ..counts() }, None);
        let (lists, files, most_lists, most_files) = <[AtomicUsize; 4]>::default().into();
        let one = async |kind: Kind| {
            let _operation = operations.begin(kind, nothing).await.unwrap();
            let (mine, list) = (kind.files() as usize, usize::from(kind == Kind::List));
            most_lists.fetch_max(lists.fetch_add(list, Ordering::Relaxed) + list, Ordering::Relaxed);
            most_files.fetch_max(files.fetch_add(mine, Ordering::Relaxed) + mine, Ordering::Relaxed);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            lists.fetch_sub(list, Ordering::Relaxed);
            files.fetch_sub(mine, Ordering::Relaxed);
        };
        join_all((0..60).map(|number| one(if number % 2 == 0 { Kind::List } else { Kind::Read }))).await;
        assert!(most_lists.into_inner() <= 4);
        assert_eq!(most_files.into_inner(), 5);
        assert_eq!((operations.free(Kind::List), operations.free(Kind::Read)), (4, 8));
    }

    #[tokio::test]
    async fn an_exclusive_operation_waits_for_that_of_another_process_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        // Each has its own semaphores, as two processes have.
        let [one, other] = [(); 2].map(|()| Operations::new(&counts(), Some(folder.path().join("locks"))));
        let held = one.begin(Kind::Git, nothing).await.unwrap();
        drop(other.begin(Kind::Terraform, nothing).await.unwrap());
        let (tell, told) = tokio::sync::oneshot::channel();
        let waiting = tokio::spawn(async move { other.begin(Kind::Git, |what| drop(tell.send(what))).await.map(drop) });
        let told = told.await.unwrap();
        assert!(told.contains("git") && told.contains(&std::process::id().to_string()), "{told}");
        assert!(!waiting.is_finished());
        drop(held);
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_no_lock_behind() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = [(); 2].map(|()| Operations::new(&counts(), Some(folder.path().to_owned())));
        let held = one.begin(Kind::Credentials, nothing).await.unwrap();
        let mut waiting = Box::pin(other.begin(Kind::Credentials, nothing));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(waiting);
        drop(held);
        drop(other.begin(Kind::Credentials, nothing).await.unwrap());
        drop(one.begin(Kind::Credentials, nothing).await.unwrap());
    }

    #[tokio::test]
    async fn a_lock_that_can_not_be_had_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("locks"), "").unwrap();
        let operations = Operations::new(&counts(), Some(folder.path().join("locks")));
        let error = operations.begin(Kind::Git, nothing).await.unwrap_err();
        assert!(error.to_string().contains("locks"), "{error}");
        assert_eq!(operations.free(Kind::Git), 1);
    }
}
