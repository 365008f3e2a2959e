//! Applications of the host under test. They run on the sockets of the offload engine, so
//! everything they see went through rings, records, descriptors and doorbells.

use super::meter::Meter;
use super::pattern::Pattern;
use hallux_host::application::{Listener, NetError, Network, Stream};
use hallux_host::apps::report::Report;

/// Bytes that an application writes at once.
const CHUNK: usize = 16 << 10;

/// What the server does with each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Reads and verifies.
    Sink,
    /// Writes without end.
    Source,
    /// Returns what comes, as it comes.
    Echo,
    /// Returns each message of so many bytes when it is complete.
    Answer(usize),
}

/// What the server saw.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Connections accepted.
    pub accepted: u64,
    /// Bytes that were not what was sent.
    pub wrong: u64,
    /// Why a connection or the listener broke.
    pub failures: Vec<String>,
}

/// Serves for as long as the simulation runs; `meter` counts bytes read. The generator's first
/// connection sends at `paced` bits a second.
#[allow(clippy::too_many_arguments)] // The parameters of a load, each of its own kind.
pub async fn serve<N: Network>(
    network: N,
    port: u16,
    backlog: usize,
    first_port: u16,
    service: Service,
    paced: Option<u64>,
    meter: Meter,
    served: Report<Served>,
) {
    let mut listener = match network.listen(port, backlog).await {
        Ok(listener) => listener,
        Err(error) => return served.with(|served| served.failures.push(error.to_string())),
    };
    loop {
        match listener.accept().await {
            Ok(mut stream) => {
                served.with(|served| served.accepted += 1);
                let number = stream.peer_addr().port().wrapping_sub(first_port);
                if let Some(rate) = paced.filter(|_| number == 0)
                    && let Err(error) = stream.set_pacing_rate(rate)
                {
                    served.with(|served| served.failures.push(error.to_string()));
                }
                let (own, meter, served) = (network.clone(), meter.clone(), served.clone());
                drop(network.spawn(async move {
                    let pattern = Pattern::of(number.into());
                    let result = one(&own, stream, service, pattern, &meter, &served).await;
                    if let Err(error) = result {
                        served.with(|served| served.failures.push(error.to_string()));
                    }
                }));
            }
            Err(error) => served.with(|served| served.failures.push(error.to_string())),
        }
    }
}

async fn one<N: Network>(
    network: &N,
    mut stream: N::Stream,
    service: Service,
    pattern: Pattern,
    meter: &Meter,
    served: &Report<Served>,
) -> Result<(), NetError> {
    let size = match service {
        Service::Answer(size) => size,
        _ => CHUNK,
    };
    let mut buffer = vec![0; size];
    let mut position = 0;
    loop {
        if service == Service::Source {
            pattern.write(position, &mut buffer);
            stream.write_all(&buffer).await?;
            position += buffer.len() as u64;
            continue;
        }
        let mut count = stream.read(&mut buffer).await?;
        while count > 0 && matches!(service, Service::Answer(_)) && count < size {
            match stream.read(&mut buffer[count..]).await? {
                0 => break,
                more => count += more,
            }
        }
        if count == 0 {
            stream.close().await;
            return Ok(());
        }
        let wrong = pattern.wrong(position, &buffer[..count]);
        if wrong > 0 {
            served.with(|served| served.wrong += wrong);
        }
        meter.add(network.now(), count as u64);
        position += count as u64;
        if service != Service::Sink {
            stream.write_all(&buffer[..count]).await?;
        }
    }
}
