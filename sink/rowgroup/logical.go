package rowgroup

import "github.com/apache/arrow-go/v18/arrow"

// LogicalTypes.md: what the bytes of a column mean. Older readers know only the
// ConvertedType, so both are written where both exist.

// physical is parquet.thrift's enum Type.
type physical int32

const (
	boolean    physical = 0
	int32Type  physical = 1
	int64Type  physical = 2
	floatType  physical = 4
	doubleType physical = 5
	byteArray  physical = 6
	fixedBytes physical = 7
)

// Values of parquet.thrift's enum ConvertedType. The number is one more than in
// the format, so that zero is "none".
const (
	convertedUTF8            = 0 + 1
	convertedMap             = 1 + 1
	convertedList            = 3 + 1
	convertedDecimal         = 5 + 1
	convertedDate            = 6 + 1
	convertedTimestampMillis = 9 + 1
	convertedTimestampMicros = 10 + 1
	convertedUint8           = 11 + 1
	convertedUint16          = 12 + 1
	convertedUint32          = 13 + 1
	convertedUint64          = 14 + 1
	convertedInt8            = 15 + 1
	convertedInt16           = 16 + 1
	convertedJSON            = 19 + 1
	convertedInterval        = 21 + 1
)

// Field ids of parquet.thrift's union LogicalType.
const (
	logicalString    = 1
	logicalMap       = 2
	logicalList      = 3
	logicalDecimal   = 5
	logicalDate      = 6
	logicalTime      = 7
	logicalTimestamp = 8
	logicalInteger   = 10
	logicalUnknown   = 11
	logicalJSON      = 12
	logicalUUID      = 14
	logicalFloat16   = 15
)

// annotation is the meaning of one schema element. The zero value is none.
type annotation struct {
	converted int32 // 0: none
	logical   int16 // 0: none
	unit      arrow.TimeUnit
	utc       bool
	bits      int8
	signed    bool
	scale     int32
	precision int32
}

// write appends the fields of SchemaElement that say what the values mean;
// fieldID, which lies between them, is negative for none.
func (a annotation) write(t *thriftWriter, fieldID int32) {
	if a.converted != 0 {
		t.i32(6, a.converted-1)
	}
	if a.logical == logicalDecimal {
		t.i32(7, a.scale)
		t.i32(8, a.precision)
	}
	if fieldID >= 0 {
		t.i32(9, fieldID)
	}
	if a.logical == 0 {
		return
	}
	t.begin(10)
	t.begin(a.logical)
	switch a.logical {
	case logicalDecimal:
		t.i32(1, a.scale)
		t.i32(2, a.precision)
	case logicalTime, logicalTimestamp:
		t.boolean(1, a.utc)
		t.begin(2)
		switch a.unit {
		case arrow.Microsecond:
			t.empty(2)
		case arrow.Nanosecond:
			t.empty(3)
		default: // seconds are written as milliseconds
			t.empty(1)
		}
		t.end()
	case logicalInteger:
		t.i8(1, a.bits)
		t.boolean(2, a.signed)
	}
	t.end()
	t.end()
}

// leafType is how the values of one Arrow type are written.
type leafType struct {
	phys       physical
	width      int // bytes per value of fixedBytes
	order      order
	conv       conversion
	source     int // bytes per Arrow value, where conv needs it
	annotation annotation
	text       bool // bounds are cut between runes
	allNull    bool // Arrow's null type: no values at all
}

// leafTypeOf says how values of a type are written. ok is false for types that
// have no form of their own here (nested ones are the schema's business); then
// reason says why.
func leafTypeOf(dt arrow.DataType) (lt leafType, reason string, ok bool) {
	integer := func(bits int8, signed bool, converted int32) annotation {
		return annotation{converted: converted, logical: logicalInteger, bits: bits, signed: signed}
	}
	switch t := dt.(type) {
	case *arrow.NullType:
		return leafType{phys: int32Type, order: noOrder, allNull: true, annotation: annotation{logical: logicalUnknown}}, "", true
	case *arrow.BooleanType:
		return leafType{phys: boolean, order: boolOrder}, "", true
	case *arrow.Int8Type:
		return leafType{phys: int32Type, order: int32Order, conv: fromInt8, annotation: integer(8, true, convertedInt8)}, "", true
	case *arrow.Int16Type:
		return leafType{phys: int32Type, order: int32Order, conv: fromInt16, annotation: integer(16, true, convertedInt16)}, "", true
	case *arrow.Int32Type:
		return leafType{phys: int32Type, order: int32Order}, "", true
	case *arrow.Int64Type:
		return leafType{phys: int64Type, order: int64Order}, "", true
	case *arrow.Uint8Type:
		return leafType{phys: int32Type, order: uint32Order, conv: fromUint8, annotation: integer(8, false, convertedUint8)}, "", true
	case *arrow.Uint16Type:
		return leafType{phys: int32Type, order: uint32Order, conv: fromUint16, annotation: integer(16, false, convertedUint16)}, "", true
	case *arrow.Uint32Type:
		return leafType{phys: int32Type, order: uint32Order, annotation: integer(32, false, convertedUint32)}, "", true
	case *arrow.Uint64Type:
		return leafType{phys: int64Type, order: uint64Order, annotation: integer(64, false, convertedUint64)}, "", true
	case *arrow.Float16Type:
		return leafType{phys: fixedBytes, width: 2, order: float16Order, annotation: annotation{logical: logicalFloat16}}, "", true
	case *arrow.Float32Type:
		return leafType{phys: floatType, order: floatOrder}, "", true
	case *arrow.Float64Type:
		return leafType{phys: doubleType, order: doubleOrder}, "", true
	case *arrow.StringType, *arrow.LargeStringType, *arrow.StringViewType:
		return leafType{phys: byteArray, order: bytesOrder, text: true, annotation: annotation{converted: convertedUTF8, logical: logicalString}}, "", true
	case *arrow.BinaryType, *arrow.LargeBinaryType, *arrow.BinaryViewType:
		return leafType{phys: byteArray, order: bytesOrder}, "", true
	case *arrow.FixedSizeBinaryType:
		if t.ByteWidth <= 0 {
			return leafType{}, "Parquet has no values of zero bytes", false
		}
		return leafType{phys: fixedBytes, width: t.ByteWidth, order: bytesOrder}, "", true
	case *arrow.Date32Type:
		return leafType{phys: int32Type, order: int32Order, annotation: annotation{converted: convertedDate, logical: logicalDate}}, "", true
	case *arrow.Date64Type:
		return leafType{phys: int32Type, order: int32Order, conv: fromDate64, annotation: annotation{converted: convertedDate, logical: logicalDate}}, "", true
	case *arrow.Time32Type:
		lt := leafType{phys: int32Type, order: int32Order, annotation: annotation{logical: logicalTime, unit: t.Unit}}
		if t.Unit == arrow.Second {
			lt.conv = fromSeconds
		}
		return lt, "", true
	case *arrow.Time64Type:
		return leafType{phys: int64Type, order: int64Order, annotation: annotation{logical: logicalTime, unit: t.Unit}}, "", true
	case *arrow.TimestampType:
		// A timestamp without a zone gets no ConvertedType: that would claim UTC.
		lt := leafType{phys: int64Type, order: int64Order, annotation: annotation{logical: logicalTimestamp, unit: t.Unit, utc: t.TimeZone != ""}}
		if t.Unit == arrow.Second {
			lt.conv = fromSeconds
		}
		if t.TimeZone != "" {
			switch t.Unit {
			case arrow.Second, arrow.Millisecond:
				lt.annotation.converted = convertedTimestampMillis
			case arrow.Microsecond:
				lt.annotation.converted = convertedTimestampMicros
			}
		}
		return lt, "", true
	case *arrow.DurationType: // a plain INT64, as pyarrow does; ARROW:schema restores it
		return leafType{phys: int64Type, order: int64Order}, "", true
	case *arrow.MonthIntervalType:
		return intervalType(fromMonths, 4), "", true
	case *arrow.DayTimeIntervalType:
		return intervalType(fromDayTime, 8), "", true
	case *arrow.MonthDayNanoIntervalType:
		return intervalType(fromMonthDayNano, 16), "", true
	case arrow.DecimalType:
		return decimalType(t)
	}
	return leafType{}, "there is no Parquet form of it", false
}

// intervalType is INTERVAL: months, days and milliseconds, four bytes each.
// Its order is undefined, so it has no bounds.
func intervalType(conv conversion, source int) leafType {
	return leafType{phys: fixedBytes, width: 12, order: noOrder, conv: conv, source: source, annotation: annotation{converted: convertedInterval}}
}

// decimalType stores up to 9 digits as INT32, up to 18 as INT64 (the smallest
// and fastest forms, with every encoding of integers), and more as big-endian
// bytes, as few as the digits need.
func decimalType(t arrow.DecimalType) (leafType, string, bool) {
	p, s := t.GetPrecision(), t.GetScale()
	if s < 0 || s > p || p <= 0 {
		return leafType{}, "Parquet decimals need a scale between zero and the precision", false
	}
	lt := leafType{conv: fromDecimal, source: t.BitWidth() / 8,
		annotation: annotation{converted: convertedDecimal, logical: logicalDecimal, scale: s, precision: p}}
	switch {
	case p <= 9:
		lt.phys, lt.order = int32Type, int32Order
	case p <= 18:
		lt.phys, lt.order = int64Type, int64Order
	default:
		lt.phys, lt.order, lt.width = fixedBytes, decimalOrder, decimalWidth(p)
	}
	return lt, "", true
}

// decimalWidth is the number of bytes of a signed integer of that many decimal
// digits: LogicalTypes.md, "DECIMAL".
func decimalWidth(precision int32) int {
	// 10^precision - 1 needs ceil(precision*log2(10)) bits and one for the sign.
	// log2(10) = 3.321928..., here in millionths; exact for every precision up
	// to 76, which a test compares with big integers.
	bits := (int64(precision)*3321929 + 999999) / 1000000
	return int((bits + 1 + 7) / 8)
}
