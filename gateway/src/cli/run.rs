//! `gateway run`

use super::{End, Global};
use crate::control::{self, Auth, Io, Options, types::Problem};
use clap::ValueEnum;

#[derive(clap::Args)]
pub(crate) struct Run {
    /// How sockets are driven; auto takes epoll only where io_uring is refused
    #[arg(long, value_enum, default_value = "auto", value_name = "KIND")]
    io: IoArgument,
    /// Load this XDP object, which logs what it drops, instead of the embedded one
    #[cfg(feature = "xdp-log")]
    #[arg(long, value_name = "FILE")]
    xdp_object: Option<std::path::PathBuf>,
    /// The AWS API asks nobody for a key: any is taken. For development; the control address is on loopback
    #[arg(long)]
    no_auth: bool,
    /// Started by a gateway that runs, to take over from it
    #[arg(long, hide = true)]
    handover: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum IoArgument {
    Auto,
    #[value(name = "io_uring")]
    IoUring,
    Epoll,
}

impl Run {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        let io = match self.io {
            IoArgument::Auto => Io::Auto,
            IoArgument::IoUring => Io::IoUring,
            IoArgument::Epoll => Io::Epoll,
        };
        control::run(&Options {
            config: global.readable_config()?,
            io,
            json: global.json,
            auth: if self.no_auth { Auth::Nobody } else { Auth::Keys },
            handover: self.handover,
            #[cfg(feature = "xdp-log")]
            xdp_object: self.xdp_object.clone(),
        })?;
        Ok(End::Done)
    }
}
