//! A collector of OTLP that takes all it is sent, in a process of its own: its time is not that of who sends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::support::Failed;

/// Says to this program that it is one.
const ROLE: &str = "CONVOKE_BENCH_COLLECTOR";

/// Ended when dropped.
pub(crate) struct Collector {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl Collector {
    /// Starts this program once more, which has to [become one](become_one).
    ///
    /// # Errors
    /// It did not say where it listens.
    pub(crate) fn start() -> Result<Self, Failed> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.env(ROLE, "1").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().ok_or("no output")?;
        let mut collector = Self { child, url: String::new() };
        BufReader::new(out).read_line(&mut collector.url)?;
        collector.url.truncate(collector.url.trim_end().len());
        if collector.url.is_empty() { Err("the collector did not say where it listens".into()) } else { Ok(collector) }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _: std::io::Result<()> = self.child.kill();
        let _: std::io::Result<_> = self.child.wait();
    }
}

/// What `main` does first: where this process was started to be a collector it is one, until its parent is gone.
pub(crate) fn become_one() -> Result<bool, Failed> {
    if std::env::var_os(ROLE).is_none() {
        return Ok(false);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away has ended it.
            std::thread::spawn(move || take(stream));
        }
    });
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(true)
}

fn take(mut stream: TcpStream) -> std::io::Result<()> {
    let (mut bytes, mut part) = (Vec::new(), [0; 65_536]);
    loop {
        let head = bytes.windows(4).position(|at| at == b"\r\n\r\n").map(|at| at + 4);
        let end = head.map(|head| {
            let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            head + length.unwrap_or(0)
        });
        if let Some(end) = end.filter(|end| *end <= bytes.len()) {
            bytes.drain(..end);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
            continue;
        }
        match stream.read(&mut part)? {
            0 => return Ok(()),
            read => bytes.extend_from_slice(&part[..read]),
        }
    }
}
