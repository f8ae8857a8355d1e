//! What a language's standard library reaches for, behind which there should be nothing.

use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::time::Duration;

use crate::{Tried, nothing};

fn told<T: std::fmt::Debug>(result: std::io::Result<T>) -> Tried {
    result.map(|got| format!("{got:?}").chars().take(200).collect()).map_err(|error| error.to_string())
}

/// What the process around would have.
pub(crate) fn environment() -> Vec<(String, Tried)> {
    let mut typed = Vec::new();
    let read = std::io::stdin().read_to_end(&mut typed);
    vec![
        ("variables".to_owned(), nothing(std::env::vars().map(|(name, value)| format!("{name}={value}")).collect())),
        ("arguments".to_owned(), nothing(std::env::args().collect())),
        ("PATH".to_owned(), std::env::var("PATH").map_err(|error| error.to_string())),
        ("ANTHROPIC_API_KEY".to_owned(), std::env::var("ANTHROPIC_API_KEY").map_err(|error| error.to_string())),
        // A folder that nothing can be reached from is none.
        (
            "standard input".to_owned(),
            match read {
                Ok(0) => Err("it is empty".to_owned()),
                other => told(other),
            },
        ),
    ]
}

/// Files by WASI: there is no folder that was given.
pub(crate) fn files() -> Vec<(String, Tried)> {
    const PATHS: [&str; 8] =
        [".", "/", "..", "convoke.toml", "a.txt", "/etc/passwd", "/proc/self/environ", "/proc/self/cwd"];
    let mut tried = Vec::new();
    for path in PATHS {
        tried.push((format!("read {path}"), told(fs::read(path))));
        tried.push((format!("list {path}"), told(fs::read_dir(path).map(Iterator::count))));
        tried.push((format!("look at {path}"), told(fs::metadata(path))));
    }
    tried.push(("write".to_owned(), told(fs::write("written-by-attack.txt", "x"))));
    tried.push(("write outside".to_owned(), told(fs::write("/tmp/written-by-attack.txt", "x"))));
    tried.push(("make a folder".to_owned(), told(fs::create_dir("made-by-attack"))));
    tried.push(("remove".to_owned(), told(fs::remove_file("a.txt"))));
    tried.push(("link".to_owned(), told(fs::hard_link("/etc/passwd", "linked-by-attack"))));
    tried
}

/// The network by WASI.
pub(crate) fn sockets(port: &str) -> Vec<(String, Tried)> {
    let port: u16 = port.parse().unwrap_or(9);
    let here = SocketAddr::from(([127, 0, 0, 1], port));
    let second = Duration::from_secs(1);
    let names = |name: &str| (name, port).to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>);
    vec![
        ("connect".to_owned(), told(TcpStream::connect(here))),
        ("connect in time".to_owned(), told(TcpStream::connect_timeout(&here, second))),
        ("connect by name".to_owned(), told(TcpStream::connect(("localhost", port)))),
        ("find a name".to_owned(), told(names("localhost").and_then(some))),
        ("listen".to_owned(), told(TcpListener::bind("127.0.0.1:0"))),
        ("listen to all".to_owned(), told(TcpListener::bind("0.0.0.0:0"))),
        ("send".to_owned(), told(UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"SECRET", here)))),
    ]
}

fn some(addresses: Vec<SocketAddr>) -> std::io::Result<Vec<SocketAddr>> {
    if addresses.is_empty() { Err(std::io::Error::other("it has no address")) } else { Ok(addresses) }
}

/// Programs, of which WASI knows none.
pub(crate) fn programs() -> Vec<(String, Tried)> {
    let start = |program: &str| told(std::process::Command::new(program).arg("-c").arg("true").status());
    vec![("start sh".to_owned(), start("sh")), ("start /bin/sh".to_owned(), start("/bin/sh"))]
}
