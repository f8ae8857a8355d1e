//! What the user wants beside the report: numbers for Prometheus.

use super::error::CliError;
use super::options::Options;
use super::terminal::say;
use crate::config::Settings;
use crate::metrics;
use crate::observe::Wanted;

/// Opens what is wanted, before anything runs, and says where it is. An address that was typed must be had; one of the
/// configuration may be taken by another convoke.
pub(super) fn wanted(options: &Options, settings: &Settings) -> Result<Wanted, CliError> {
    let file = options.metrics_file.clone().or_else(|| settings.metrics.file.clone());
    let Some(addr) = options.metrics_addr.or(settings.metrics.addr) else {
        return Ok(Wanted { metrics: metrics::Wanted::open(None, file).unwrap_or_default() });
    };
    let metrics = match metrics::Wanted::open(Some(addr), file.clone()) {
        Ok(metrics) => metrics,
        Err(error) if options.metrics_addr.is_some() => {
            let hint = "another program may listen there; port 0 takes a free one";
            return Err(CliError::usage(format!("metrics can't be served at {addr}: {error}")).hint(Some(hint)));
        }
        Err(error) => {
            say(&format!("warning: metrics are not served at {addr}: {error}"));
            return Ok(Wanted { metrics: metrics::Wanted::open(None, file).unwrap_or_default() });
        }
    };
    if let Some(at) = metrics.address() {
        if !at.ip().is_loopback() {
            say(&format!("warning: whoever reaches {at} can read the metrics: nobody is asked who they are"));
        }
        // Nobody could know which port was free.
        if !options.quiet || addr.port() == 0 {
            say(&format!("metrics: http://{at}/metrics"));
        }
    }
    Ok(Wanted { metrics })
}
