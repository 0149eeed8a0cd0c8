//! Planning and applying on servers in memory: nothing lost, nothing twice, whatever happens.

mod again;
mod company;
mod later;
mod law;
mod lies;
mod limits;
mod nights;
mod stop;
mod tour;
mod world;
