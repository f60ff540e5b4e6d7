//go:build !drill

package parquet

const powerCuts = 60 // `make drill` does 1,000
