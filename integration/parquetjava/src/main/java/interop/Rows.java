package interop;

import java.io.File;
import java.io.PrintWriter;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.HadoopReadOptions;
import org.apache.parquet.column.page.PageReadStore;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.convert.GroupRecordConverter;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.util.HadoopInputFile;
import org.apache.parquet.io.ColumnIOFactory;
import org.apache.parquet.io.MessageColumnIO;
import org.apache.parquet.io.RecordReader;
import org.apache.parquet.schema.LogicalTypeAnnotation;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.Type;

/**
 * Writes NAME.rows beside every NAME.parquet of a folder: a line of JSON per row.
 *
 * <p>Structs and lists are arrays, maps are arrays of pairs. Integers, times and unscaled decimals
 * are numbers; floats are the numbers of their bits; bytes and text are hexadecimal. A file that
 * cannot be read leaves NAME.error.
 */
public final class Rows {
  public static void main(String[] args) throws Exception {
    File[] files = new File(args[0]).listFiles((dir, name) -> name.endsWith(".parquet"));
    Arrays.sort(files);
    for (File file : files) {
      String stem = file.getPath().substring(0, file.getPath().length() - ".parquet".length());
      try (PrintWriter out = new PrintWriter(stem + ".rows", StandardCharsets.UTF_8)) {
        write(new Path(file.toURI()), out);
      } catch (Exception | Error e) {
        try (PrintWriter out = new PrintWriter(stem + ".error", StandardCharsets.UTF_8)) {
          e.printStackTrace(out);
        }
      }
    }
  }

  private static void write(Path path, PrintWriter out) throws Exception {
    Configuration conf = new Configuration();
    HadoopReadOptions.Builder options = HadoopReadOptions.builder(conf);
    options.usePageChecksumVerification(true);
    try (ParquetFileReader reader =
        ParquetFileReader.open(HadoopInputFile.fromPath(path, conf), options.build())) {
      MessageType schema = reader.getFooter().getFileMetaData().getSchema();
      MessageColumnIO columns = new ColumnIOFactory().getColumnIO(schema);
      StringBuilder line = new StringBuilder();
      for (PageReadStore group; (group = reader.readNextRowGroup()) != null; ) {
        RecordReader<Group> records =
            columns.getRecordReader(group, new GroupRecordConverter(schema));
        for (long i = 0; i < group.getRowCount(); i++) {
          line.setLength(0);
          struct(records.read(), line);
          out.println(line);
        }
      }
    }
  }

  private static void struct(Group group, StringBuilder out) {
    out.append('[');
    for (int i = 0; i < group.getType().getFieldCount(); i++) {
      if (i > 0) {
        out.append(',');
      }
      if (group.getFieldRepetitionCount(i) == 0) {
        out.append("null");
      } else {
        value(group, i, 0, out);
      }
    }
    out.append(']');
  }

  private static void value(Group parent, int field, int index, StringBuilder out) {
    Type type = parent.getType().getType(field);
    if (type.isPrimitive()) {
      primitive(parent, field, index, out);
      return;
    }
    Group group = parent.getGroup(field, index);
    LogicalTypeAnnotation logical = type.getLogicalTypeAnnotation();
    if (logical instanceof LogicalTypeAnnotation.ListLogicalTypeAnnotation) {
      entries(group, false, out);
    } else if (logical instanceof LogicalTypeAnnotation.MapLogicalTypeAnnotation) {
      entries(group, true, out);
    } else {
      struct(group, out);
    }
  }

  /** The repeated field of a list or map: its entries whole, or their only field. */
  private static void entries(Group group, boolean whole, StringBuilder out) {
    out.append('[');
    for (int k = 0; k < group.getFieldRepetitionCount(0); k++) {
      if (k > 0) {
        out.append(',');
      }
      Group entry = group.getGroup(0, k);
      if (whole) {
        struct(entry, out);
      } else if (entry.getFieldRepetitionCount(0) == 0) {
        out.append("null");
      } else {
        value(entry, 0, 0, out);
      }
    }
    out.append(']');
  }

  private static void primitive(Group g, int field, int index, StringBuilder out) {
    Type type = g.getType().getType(field);
    LogicalTypeAnnotation logical = type.getLogicalTypeAnnotation();
    boolean unsigned =
        logical instanceof LogicalTypeAnnotation.IntLogicalTypeAnnotation integer
            && !integer.isSigned();
    switch (type.asPrimitiveType().getPrimitiveTypeName()) {
      case BOOLEAN -> out.append(g.getBoolean(field, index));
      case INT32 -> {
        int v = g.getInteger(field, index);
        out.append(unsigned ? Integer.toUnsignedString(v) : Integer.toString(v));
      }
      case INT64 -> {
        long v = g.getLong(field, index);
        out.append(unsigned ? Long.toUnsignedString(v) : Long.toString(v));
      }
      case FLOAT ->
          out.append(
              Integer.toUnsignedString(Float.floatToRawIntBits(g.getFloat(field, index))));
      case DOUBLE ->
          out.append(
              Long.toUnsignedString(Double.doubleToRawLongBits(g.getDouble(field, index))));
      default -> {
        byte[] bytes = g.getBinary(field, index).getBytes();
        if (logical instanceof LogicalTypeAnnotation.DecimalLogicalTypeAnnotation) {
          out.append(new BigInteger(bytes));
        } else {
          out.append('"').append(HexFormat.of().formatHex(bytes)).append('"');
        }
      }
    }
  }
}
