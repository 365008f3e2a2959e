//! Behavioural host, network, peers and the reference TOE.
