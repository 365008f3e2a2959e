//! What of a run is written down beside its results: frames at named ports, PCIe, and
//! everything a NIC gets and gives.

use crate::output::{OutputError, OutputFile};
use crate::recording::Description;
use anyhow::{Result, anyhow};
use hallux_channel::Protocol;
use hallux_cosim::engine::{BuildError, ComponentId, Simulation};
use hallux_cosim::observe::pcapng::PcapngWriter;
use hallux_cosim::observe::pcie_log::{PcieCapture, PcieTable};
use hallux_cosim::observe::recording::Recorder;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A port by name, `component.port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortName {
    /// Name of the component.
    pub component: String,
    /// Name of its port.
    pub port: String,
}

/// Frames of some ports to a file: `wire.b,client.eth0=far.pcapng`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameCapture {
    /// The ports.
    pub ports: Vec<PortName>,
    /// The file.
    pub path: PathBuf,
}

/// A text names no ports and file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` does not name ports and a file; write for example `wire.b=far.pcapng` or `wire.a,wire.b=wire.pcapng`"
)]
pub struct ParseCaptureError(String);

impl FromStr for FrameCapture {
    type Err = ParseCaptureError;

    fn from_str(text: &str) -> Result<Self, ParseCaptureError> {
        let wrong = || ParseCaptureError(text.to_owned());
        let (ports, path) = text.split_once('=').ok_or_else(wrong)?;
        let ports = ports
            .split(',')
            .map(|name| {
                let (component, port) = name.rsplit_once('.')?;
                (!component.is_empty() && !port.is_empty()).then(|| PortName {
                    component: component.to_owned(),
                    port: port.to_owned(),
                })
            })
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        if path.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            ports,
            path: path.into(),
        })
    }
}

/// A log of PCIe, whose form is told by the ending of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PcieLog {
    /// Tab-separated values, `.tsv`.
    Table(PathBuf),
    /// A capture, `.pcapng`.
    Capture(PathBuf),
}

/// A name has no ending that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not say which form the log has; let it end in `.tsv` or `.pcapng`")]
pub struct ParseLogError(String);

impl FromStr for PcieLog {
    type Err = ParseLogError;

    fn from_str(text: &str) -> Result<Self, ParseLogError> {
        let path = Path::new(text);
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("tsv") => Ok(Self::Table(path.into())),
            Some("pcapng") => Ok(Self::Capture(path.into())),
            _ => Err(ParseLogError(text.to_owned())),
        }
    }
}

impl PcieLog {
    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Table(path) | Self::Capture(path) => path,
        }
    }
}

/// The files of a run's observation, made before it begins.
#[derive(Debug, Default)]
pub struct Observation {
    frames: Vec<(FrameCapture, OutputFile)>,
    pcie: Option<(PcieLog, OutputFile)>,
    recording: Option<OutputFile>,
}

impl Observation {
    /// Makes the files.
    ///
    /// # Errors
    /// One of them cannot be made.
    pub fn create(
        frames: &[FrameCapture],
        pcie: Option<&PcieLog>,
        recording: Option<&Path>,
    ) -> Result<Self, OutputError> {
        let file = |capture: &FrameCapture| {
            OutputFile::create(&capture.path).map(|file| (capture.clone(), file))
        };
        Ok(Self {
            frames: frames.iter().map(file).collect::<Result<_, _>>()?,
            pcie: pcie
                .map(|log| OutputFile::create(log.path()).map(|file| (log.clone(), file)))
                .transpose()?,
            recording: recording.map(OutputFile::create).transpose()?,
        })
    }

    /// Taps the ports and adds the sinks. PCIe is logged at the NICs in `nics`, and the
    /// first of them, which `description` describes, is recorded.
    ///
    /// # Errors
    /// A port does not exist or is no Ethernet port, or a file cannot be written.
    pub fn attach(
        &mut self,
        simulation: &mut Simulation,
        nics: &[(String, ComponentId)],
        description: impl FnOnce() -> Result<Description>,
    ) -> Result<()> {
        // All taps come first: a sink knows the interfaces there are when it is made.
        let mut captured = vec![];
        for (capture, _) in &self.frames {
            let numbers = capture.ports.iter().map(|name| tap(simulation, name));
            captured.push(numbers.collect::<Result<Vec<_>>>()?);
        }
        if self.pcie.is_some() {
            if nics.is_empty() {
                return Err(anyhow!("there is no NIC whose PCIe could be logged"));
            }
            for (name, id) in nics {
                simulation.tap((*id, "pcie"), format!("{name}.pcie"))?;
            }
        }
        let recorded = match (&self.recording, nics.first()) {
            (Some(_), Some((name, id))) => Some((
                simulation.tap((*id, "pcie"), format!("{name}.pcie"))?,
                simulation.tap((*id, "eth"), name.as_str())?,
            )),
            (Some(_), None) => return Err(anyhow!("there is no NIC to be recorded")),
            (None, _) => None,
        };

        for ((_, file), numbers) in self.frames.iter_mut().zip(captured) {
            let writer = PcapngWriter::of(file.writer()?, simulation.interfaces(), &numbers)?;
            simulation.add_sink(writer);
        }
        match &mut self.pcie {
            Some((PcieLog::Table(_), file)) => {
                let table = PcieTable::new(file.writer()?, simulation.interfaces())?;
                simulation.add_sink(table);
            }
            Some((PcieLog::Capture(_), file)) => {
                let capture = PcieCapture::new(file.writer()?, simulation.interfaces())?;
                simulation.add_sink(capture);
            }
            None => {}
        }
        if let (Some(file), Some(ports)) = (&mut self.recording, recorded) {
            let text = description()?.to_text()?;
            let recorder = Recorder::new(file.writer()?, simulation.interfaces(), ports, &text)?;
            simulation.add_sink(recorder);
        }
        Ok(())
    }

    /// The run was whole: the files get their names.
    ///
    /// # Errors
    /// A file cannot be renamed.
    pub fn publish(self) -> Result<Vec<PathBuf>, OutputError> {
        self.into_files().map(OutputFile::publish).collect()
    }

    /// The run was not whole: the files keep their marked names, which are returned.
    pub fn keep_incomplete(self) -> Vec<PathBuf> {
        self.into_files().map(OutputFile::keep_incomplete).collect()
    }

    fn into_files(self) -> impl Iterator<Item = OutputFile> {
        let frames = self.frames.into_iter().map(|(_, file)| file);
        let pcie = self.pcie.into_iter().map(|(_, file)| file);
        frames.chain(pcie).chain(self.recording)
    }
}

/// Taps an Ethernet port by name.
fn tap(simulation: &mut Simulation, name: &PortName) -> Result<usize> {
    let PortName { component, port } = name;
    let id = simulation.find(component).ok_or_else(|| {
        let known: Vec<&str> = simulation.names().collect();
        anyhow!(
            "there is no component `{component}` whose port could be captured; there are {}",
            known.join(", ")
        )
    })?;
    let ports = simulation.ports(id);
    let known = ports.iter().find(|spec| spec.name == *port);
    if known.is_some_and(|spec| spec.protocol != Protocol::Ethernet) {
        return Err(anyhow!(
            "{component}.{port} is no Ethernet port; --pcie-log logs PCIe"
        ));
    }
    simulation
        .tap((id, port), format!("{component}.{port}"))
        .map_err(|error: BuildError| error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_files_are_read() {
        let capture: FrameCapture = "wire.b,client.eth0=a/far.pcapng".parse().unwrap();
        assert_eq!(capture.ports[1].component, "client");
        assert_eq!(capture.ports[1].port, "eth0");
        assert_eq!(capture.path, Path::new("a/far.pcapng"));
        for wrong in [
            "far.pcapng",
            "wire=far.pcapng",
            "wire.b=",
            ".b=x",
            "wire.b,=x",
        ] {
            assert!(wrong.parse::<FrameCapture>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_ending_tells_the_form_of_a_log() {
        assert_eq!("x.tsv".parse(), Ok(PcieLog::Table("x.tsv".into())));
        assert_eq!("x.pcapng".parse(), Ok(PcieLog::Capture("x.pcapng".into())));
        assert!("x.csv".parse::<PcieLog>().is_err());
    }
}
