/** The cases that peers are measured by; not every peer can do each. */
export type PeerCase = 'calls' | 'items' | 'first' | 'large' | 'loss' | 'arrival'
