//! The kernel guard on a real kernel: verdicts by test run, namespaces with veth, restarts, foreign programs.

mod frames;
mod lab;
mod namespaces;
mod oracle;
mod verdicts;
mod world;
