package interop;

import java.io.File;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.column.ColumnDescriptor;
import org.apache.parquet.column.values.bloomfilter.BloomFilter;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.filter2.compat.FilterCompat;
import org.apache.parquet.filter2.predicate.FilterApi;
import org.apache.parquet.filter2.predicate.FilterPredicate;
import org.apache.parquet.filter2.predicate.Operators;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.ParquetReader;
import org.apache.parquet.hadoop.example.GroupReadSupport;
import org.apache.parquet.hadoop.metadata.BlockMetaData;
import org.apache.parquet.hadoop.util.HadoopInputFile;
import org.apache.parquet.io.api.Binary;
import org.apache.parquet.schema.MessageType;

/**
 * Filters a file of flat columns by random predicates, with and without pruning by statistics,
 * column index, dictionaries and Bloom filters. Both ways must give the same rows, and no Bloom
 * filter may deny a value that its row group has. Ends with status 1 if not.
 */
public final class Filters {
  private static Path path;
  private static int bad;

  public static void main(String[] args) throws Exception {
    path = new Path(new File(args[0]).toURI());
    int count = Integer.parseInt(args[1]);
    MessageType schema;
    long probes = 0;
    Configuration conf = new Configuration();
    List<Group> all = read(FilterCompat.NOOP, false, true);
    try (ParquetFileReader reader =
        ParquetFileReader.open(HadoopInputFile.fromPath(path, conf))) {
      schema = reader.getFooter().getFileMetaData().getSchema();
      int first = 0;
      for (BlockMetaData block : reader.getFooter().getBlocks()) {
        for (int c = 0; c < block.getColumns().size(); c++) {
          BloomFilter bloom =
              reader.getBloomFilterDataReader(block).readBloomFilter(block.getColumns().get(c));
          for (int i = first; bloom != null && i < first + block.getRowCount(); i++) {
            Object v = value(all.get(i), schema.getColumns().get(c), c);
            if (v != null) {
              probes++;
              if (!bloom.findHash(hash(bloom, v))) {
                fail("the Bloom filter of " + schema.getFieldName(c) + " denies " + v);
              }
            }
          }
        }
        first += (int) block.getRowCount();
      }
    }
    Random random = new Random(7);
    long kept = 0;
    for (int k = 0; k < count; ) {
      final int c = random.nextInt(schema.getFieldCount());
      Object v = value(all.get(random.nextInt(all.size())), schema.getColumns().get(c), c);
      if (v == null || isNaN(v)) {
        continue;
      }
      FilterPredicate predicate = predicate(schema.getFieldName(c), v, random.nextInt(5));
      FilterCompat.Filter filter = FilterCompat.get(predicate);
      List<Group> want = read(filter, false, true);
      List<Group> got = read(filter, true, true);
      // parquet-java takes NaN for the largest number when it looks at a value, and the format
      // keeps NaN out of bounds: whether such a row passes depends on what is pruned.
      ColumnDescriptor column = schema.getColumns().get(c);
      want.removeIf(row -> isNaN(value(row, column, c)));
      got.removeIf(row -> isNaN(value(row, column, c)));
      if (!got.toString().equals(want.toString())) {
        fail(predicate + ": other rows than a full scan's");
      }
      kept += read(filter, true, false).size();
      k++;
    }
    System.out.printf(
        "%d predicates, %d of %d rows read, %d probes of Bloom filters%n",
        count, kept, (long) count * all.size(), probes);
    if (kept > count * (long) all.size() * 8 / 10 || probes == 0) {
      fail("next to nothing was pruned or probed: this proves nothing");
    }
    System.exit(bad > 0 ? 1 : 0);
  }

  private static boolean isNaN(Object v) {
    return v instanceof Number n && Double.isNaN(n.doubleValue());
  }

  private static void fail(String what) {
    bad++;
    System.out.println(what);
  }

  /** The rows that pass; without exact, also those that pruning cannot leave out. */
  private static List<Group> read(FilterCompat.Filter filter, boolean prune, boolean exact)
      throws Exception {
    List<Group> rows = new ArrayList<>();
    try (ParquetReader<Group> reader =
        ParquetReader.builder(new GroupReadSupport(), path)
            .withFilter(filter)
            .useStatsFilter(prune)
            .useColumnIndexFilter(prune)
            .useDictionaryFilter(prune)
            .useBloomFilter(prune)
            .useRecordFilter(exact)
            .build()) {
      for (Group row; (row = reader.read()) != null; ) {
        rows.add(row);
      }
    }
    return rows;
  }

  private static Object value(Group row, ColumnDescriptor column, int c) {
    if (row.getFieldRepetitionCount(c) == 0) {
      return null;
    }
    return switch (column.getPrimitiveType().getPrimitiveTypeName()) {
      case INT32 -> row.getInteger(c, 0);
      case INT64 -> row.getLong(c, 0);
      case FLOAT -> row.getFloat(c, 0);
      case DOUBLE -> row.getDouble(c, 0);
      default -> row.getBinary(c, 0);
    };
  }

  private static long hash(BloomFilter bloom, Object v) {
    if (v instanceof Integer i) {
      return bloom.hash(i.intValue());
    }
    if (v instanceof Long l) {
      return bloom.hash(l.longValue());
    }
    return bloom.hash((Binary) v);
  }

  private static FilterPredicate predicate(String name, Object v, int op) {
    if (v instanceof Integer i) {
      return predicate(FilterApi.intColumn(name), i, op);
    }
    if (v instanceof Long l) {
      return predicate(FilterApi.longColumn(name), l, op);
    }
    if (v instanceof Float f) {
      return predicate(FilterApi.floatColumn(name), f, op);
    }
    if (v instanceof Double d) {
      return predicate(FilterApi.doubleColumn(name), d, op);
    }
    return predicate(FilterApi.binaryColumn(name), (Binary) v, op);
  }

  private static <
          T extends Comparable<T>, C extends Operators.Column<T> & Operators.SupportsLtGt>
      FilterPredicate predicate(C column, T v, int op) {
    return switch (op) {
      case 0 -> FilterApi.lt(column, v);
      case 1 -> FilterApi.ltEq(column, v);
      case 2 -> FilterApi.gt(column, v);
      case 3 -> FilterApi.gtEq(column, v);
      default -> FilterApi.eq(column, v);
    };
  }
}
