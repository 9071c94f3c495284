// Package notify tells customers: it words the notices that the engine writes
// with each fact, and delivers them from the store to a message centre. It knows
// neither SQL nor how purchases are decided, and nothing waits for it: a notice
// that is late or lost never holds up money (invariant N5).
package notify
