//go:build drill

package actors

const powerCutEvery, powerCuts = 1, 1000
