//! TCP offload engine: stages, host interface, design points.
