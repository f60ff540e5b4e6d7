package parquet

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/decimal256"
)

// convertDecimal changes the width of a decimal, whose scale stays.
func convertDecimal(source arrow.Array, to arrow.DecimalType) (arrow.Array, error) {
	from, is := source.DataType().(arrow.DecimalType)
	if !is {
		return nil, unreachable(source, to)
	}
	if err := checkDecimal(source, from); err != nil {
		return nil, err
	}
	switch from.ID() {
	case arrow.DECIMAL32:
		return decimalFrom(source, from, to, func(v int32) decimal256.Num { return decimal256.FromI64(int64(v)) })
	case arrow.DECIMAL64:
		return decimalFrom(source, from, to, decimal256.FromI64)
	case arrow.DECIMAL128:
		return decimalFrom(source, from, to, decimal256.FromDecimal128)
	}
	return decimalFrom(source, from, to, func(v decimal256.Num) decimal256.Num { return v })
}

func decimalFrom[F int32 | int64 | decimal128.Num | decimal256.Num](source arrow.Array, from, to arrow.DecimalType,
	widen func(F) decimal256.Num) (arrow.Array, error) {
	fits := func(v F) (decimal256.Num, bool) { wide := widen(v); return wide, fits256(wide, to.GetPrecision()) }
	fail := func(v F) error {
		return &misfit{widen(v).ToString(from.GetScale()) + " does not fit"}
	}
	switch to.ID() {
	case arrow.DECIMAL32:
		return mapOr(source, to, func(v F) (int32, bool) { wide, ok := fits(v); return int32(wide.LowBits()), ok }, fail)
	case arrow.DECIMAL64:
		return mapOr(source, to, func(v F) (int64, bool) { wide, ok := fits(v); return int64(wide.LowBits()), ok }, fail)
	case arrow.DECIMAL128:
		return mapOr(source, to, func(v F) (decimal128.Num, bool) {
			wide, ok := fits(v)
			words := wide.Array()
			return decimal128.New(int64(words[1]), words[0]), ok
		}, fail)
	}
	return mapOr(source, to, fits, fail)
}

// The smallest number of two's complement has no counterpart above zero, so it
// is asked for before the absolute value is taken.
func fits128(v decimal128.Num, precision int32) bool {
	return !(v.Sign() < 0 && v.Negate() == v) && v.FitsInPrecision(precision)
}

func fits256(v decimal256.Num, precision int32) bool {
	return !(v.Sign() < 0 && v.Negate() == v) && v.FitsInPrecision(precision)
}
