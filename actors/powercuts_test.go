//go:build !drill

package actors

// Every seventh call of the disk is cut at, until there are 60 cuts or more;
// `make drill` takes every call, and 1,000 cuts.
const powerCutEvery, powerCuts = 7, 60
