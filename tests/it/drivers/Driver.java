// pgjdbc through gov, as DBeaver uses it: prints one line per thing that drivers do.
//
// java -cp /usr/share/java/postgresql.jar Driver.java WRITE-URL READ-URL

import java.io.StringReader;
import java.io.StringWriter;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;

public class Driver {
    interface Check { void run(Connection connection) throws Exception; }

    static String write, read;

    static void that(boolean truth, Object what) {
        if (!truth) throw new AssertionError("not so: " + what);
    }

    static String one(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            that(rows.next(), sql);
            return rows.getString(1);
        }
    }

    static int count(ResultSet rows) throws SQLException {
        int count = 0;
        while (rows.next()) count++;
        return count;
    }

    static Connection open(String url, String... properties) throws SQLException {
        Properties all = new Properties();
        for (int index = 0; index < properties.length; index += 2) all.setProperty(properties[index], properties[index + 1]);
        return DriverManager.getConnection(url, all);
    }

    static void simple(Connection ignored) throws Exception {
        try (Connection connection = open(write, "preferQueryMode", "simple")) {
            that(one(connection, "select count(*) from orders where id < 3").equals("2"), "rows");
        }
    }

    static void prepared(Connection connection) throws Exception {
        // From the fifth time on pgjdbc prepares on the server, and asks for binary.
        try (PreparedStatement statement = connection.prepareStatement("select id from orders where id = ?")) {
            for (int number = 1; number <= 20; number++) {
                statement.setInt(1, number);
                try (ResultSet rows = statement.executeQuery()) {
                    that(rows.next() && rows.getInt(1) == number, number);
                }
            }
        }
        try (PreparedStatement batch = connection.prepareStatement("update orders set status = ? where id = ?")) {
            for (int number = 1; number <= 500; number++) {
                batch.setString(1, "open");
                batch.setInt(2, number % 100 + 1);
                batch.addBatch();
            }
            that(Arrays.stream(batch.executeBatch()).allMatch(count -> count == 1), "a batch");
        }
    }

    static void binary(Connection ignored) throws Exception {
        try (Connection connection = open(write, "prepareThreshold", "-1");
             PreparedStatement statement = connection.prepareStatement("select ?::int8, 1.5::numeric, now(), '{1,2}'::int4[]")) {
            statement.setLong(1, 1L << 40);
            try (ResultSet rows = statement.executeQuery()) {
                that(rows.next() && rows.getLong(1) == 1L << 40, "int8");
                that(rows.getBigDecimal(2).toString().equals("1.5"), "numeric");
                that(rows.getTimestamp(3) != null, "timestamptz");
                that(((Integer[]) rows.getArray(4).getArray())[1] == 2, "array");
            }
        }
    }

    static void copy(Connection connection) throws Exception {
        var copies = connection.unwrap(PGConnection.class).getCopyAPI();
        try (Statement statement = connection.createStatement()) {
            statement.execute("create temp table copied (a int, b text)");
        }
        that(copies.copyIn("copy copied from stdin", new StringReader("1\tx\n2\ty\n")) == 2, "in");
        StringWriter out = new StringWriter();
        copies.copyOut("copy (select * from copied order by a limit 10) to stdout (format csv)", out);
        that(out.toString().equals("1,x\n2,y\n"), out);
    }

    static void cancel(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            new java.util.Timer(true).schedule(new TimerTask() {
                @Override public void run() {
                    try { statement.cancel(); } catch (SQLException problem) { problem.printStackTrace(); }
                }
            }, 500);
            try {
                statement.execute("select pg_sleep(60)");
                that(false, "it slept");
            } catch (SQLException problem) {
                that("57014".equals(problem.getSQLState()), problem);
            }
        }
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            statement.execute("select pg_sleep(60)");
            that(false, "it slept");
        } catch (SQLException problem) {
            that("57014".equals(problem.getSQLState()), problem);
        }
        that(one(connection, "select 1").equals("1"), "usable");
    }

    static void error(Connection connection) throws Exception {
        String[][] wrong = {{"select 1/0", "22012"}, {"selec", "42601"}, {"select 1 from nowhere", "42P01"}};
        for (String[] pair : wrong) {
            try {
                one(connection, pair[0]);
                that(false, pair[0]);
            } catch (SQLException problem) {
                that(pair[1].equals(problem.getSQLState()), problem);
            }
        }
        that(one(connection, "select 1").equals("1"), "usable");
    }

    static void notice(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            statement.execute("create temp table if not exists noticed (a int)");
            statement.execute("create temp table if not exists noticed (a int)");
            SQLWarning warning = statement.getWarnings();
            that(warning != null && warning.getMessage().contains("already exists"), warning);
        }
    }

    static void large(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            // A cursor in pieces: PortalSuspended.
            statement.setFetchSize(1000);
            try (ResultSet rows = statement.executeQuery("select i, repeat('x', 100) from generate_series(1, 20000) i")) {
                that(count(rows) == 20000, "rows");
            }
        } finally {
            connection.commit();
            connection.setAutoCommit(true);
        }
        that(one(connection, "select repeat('x', 4000000)").length() == 4000000, "one long value");
    }

    static void transaction(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.executeUpdate("update orders set status = 'kept' where id = 1");
            Savepoint savepoint = connection.setSavepoint();
            statement.executeUpdate("update orders set status = 'lost' where id = 1");
            connection.rollback(savepoint);
            that(one(connection, "select status from orders where id = 1").equals("kept"), "a savepoint");
            connection.rollback();
            that(one(connection, "select status from orders where id = 1").equals("open"), "undone");
            connection.commit();
        } finally {
            connection.setAutoCommit(true);
        }
    }

    static void masked(Connection ignored) throws Exception {
        for (String threshold : new String[] {"5", "-1"}) {
            try (Connection connection = open(read, "prepareThreshold", threshold)) {
                String email = one(connection, "select email from customers where id = 1");
                that(!email.contains("mail.example.org"), email);
            }
        }
    }

    /** A grid: a row is read, cells of it are edited, and it is saved. */
    static void returned(Connection ignored) throws Exception {
        for (String threshold : new String[] {"5", "-1"}) {
            try (Connection connection = open(write, "prepareThreshold", threshold);
                 Statement statement = connection.createStatement(ResultSet.TYPE_FORWARD_ONLY, ResultSet.CONCUR_UPDATABLE);
                 ResultSet row = statement.executeQuery("select * from customers where id = 5")) {
                that(row.next(), "a row");
                row.updateString("email", row.getString("email"));
                row.updateString("country", "SE");
                try {
                    row.updateRow();
                    that(false, "saved");
                } catch (SQLException problem) {
                    that("42501".equals(problem.getSQLState()) && problem.getMessage().contains("made by a mask"), problem);
                }
            }
            try (Connection connection = open(write, "prepareThreshold", threshold);
                 Statement statement = connection.createStatement(ResultSet.TYPE_FORWARD_ONLY, ResultSet.CONCUR_UPDATABLE);
                 ResultSet row = statement.executeQuery("select * from customers where id = 5")) {
                row.next();
                row.updateString("country", "SE");
                row.updateRow();
            }
        }
    }

    /** What DBeaver asks when a data source is opened and a table is looked at. */
    static void introspection(Connection ignored) throws Exception {
        List<Connection> connections = new ArrayList<>();
        try {
            // One for metadata, one per editor, one for the values behind a form.
            for (String purpose : new String[] {"Main", "Metadata", "SQLEditor", "ResultSet"}) {
                connections.add(open(read, "ApplicationName", "DBeaver 24.2.0 - " + purpose, "readOnly", "false"));
            }
            Connection connection = connections.get(1);
            one(connection, "SELECT version()");
            one(connection, "SELECT current_schema(), session_user");
            one(connection, "SHOW search_path");
            for (String sql : new String[] {
                "SELECT db.oid, db.* FROM pg_catalog.pg_database db WHERE datallowconn AND NOT datistemplate ORDER BY db.datname",
                "select * from pg_catalog.pg_settings where name = 'standard_conforming_strings'",
                "SELECT n.oid,n.*,d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d "
                    + "ON d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass ORDER BY nspname",
                "SELECT t.oid,t.*,c.relkind,format_type(nullif(t.typbasetype, 0), t.typtypmod) as base_type_name, d.description "
                    + "FROM pg_catalog.pg_type t LEFT OUTER JOIN pg_catalog.pg_type et ON et.oid=t.typelem "
                    + "LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid=t.typrelid "
                    + "LEFT OUTER JOIN pg_catalog.pg_description d ON t.oid=d.objoid WHERE t.typname IS NOT NULL "
                    + "AND (c.relkind IS NULL OR c.relkind = 'c') AND (et.typcategory IS NULL OR et.typcategory <> 'C')",
                "SELECT c.oid,c.*,d.description,pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_expr,"
                    + "pg_catalog.pg_get_partkeydef(c.oid) as partition_key FROM pg_catalog.pg_class c "
                    + "LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 "
                    + "AND d.classoid='pg_class'::regclass WHERE c.relnamespace='public'::regnamespace AND c.relkind not in ('i','I','c')",
                "SELECT c.relname,a.*,pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value,dsc.description,dep.objid "
                    + "FROM pg_catalog.pg_attribute a INNER JOIN pg_catalog.pg_class c ON (a.attrelid=c.oid) "
                    + "LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid=ad.adrelid AND a.attnum = ad.adnum) "
                    + "LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid) "
                    + "LEFT OUTER JOIN pg_depend dep on dep.refobjid = a.attrelid AND dep.deptype = 'i' and dep.refobjsubid = a.attnum "
                    + "and dep.classid = dep.refclassid WHERE NOT a.attisdropped AND c.relnamespace='public'::regnamespace "
                    + "ORDER BY a.attnum",
                "SELECT c.oid,c.*,t.relname as tabrelname,rt.relnamespace as refnamespace,d.description, "
                    + "case when c.contype='c' then \"substring\"(pg_get_constraintdef(c.oid), 7) else null end consrc_copy "
                    + "FROM pg_catalog.pg_constraint c INNER JOIN pg_catalog.pg_class t ON t.oid=c.conrelid "
                    + "LEFT OUTER JOIN pg_catalog.pg_class rt ON rt.oid=c.confrelid "
                    + "LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 "
                    + "AND d.classoid='pg_constraint'::regclass WHERE t.relnamespace='public'::regnamespace ORDER BY c.oid",
                "SELECT i.*,i.indkey as keys,c.relname,c.relnamespace,c.relam,c.reltablespace,tc.relname as tabrelname,dsc.description,"
                    + "pg_catalog.pg_get_expr(i.indpred, i.indrelid) as pred_expr,pg_catalog.pg_get_expr(i.indexprs, i.indrelid, true) as expr,"
                    + "pg_catalog.pg_relation_size(i.indexrelid) as index_rel_size,pg_catalog.pg_stat_get_numscans(i.indexrelid) as index_num_scans "
                    + "FROM pg_catalog.pg_index i INNER JOIN pg_catalog.pg_class c ON c.oid=i.indexrelid "
                    + "INNER JOIN pg_catalog.pg_class tc ON tc.oid=i.indrelid "
                    + "LEFT OUTER JOIN pg_catalog.pg_description dsc ON i.indexrelid=dsc.objoid ORDER BY tabrelname, c.relname",
            }) {
                try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
                    count(rows);
                } catch (SQLException problem) {
                    throw new AssertionError(problem.getMessage() + " IN " + sql);
                }
            }
            DatabaseMetaData meta = connection.getMetaData();
            that(meta.getDatabaseProductName().equals("PostgreSQL"), "product");
            that(count(meta.getSchemas()) > 0, "schemas");
            that(count(meta.getTables(null, "public", "%", null)) >= 2, "tables");
            that(count(meta.getColumns(null, "public", "customers", "%")) == 6, "columns");
            that(count(meta.getPrimaryKeys(null, "public", "customers")) == 1, "primary keys");
            that(count(meta.getImportedKeys(null, "public", "orders")) == 1, "imported keys");
            that(count(meta.getExportedKeys(null, "public", "customers")) == 1, "exported keys");
            that(count(meta.getIndexInfo(null, "public", "orders", false, true)) == 1, "indexes");
            for (ResultSet rows : new ResultSet[] {
                meta.getTypeInfo(), meta.getTableTypes(), meta.getCatalogs(), meta.getFunctions(null, "public", "%"),
                meta.getProcedures(null, "public", "%"), meta.getTablePrivileges(null, "public", "%"),
                meta.getColumnPrivileges(null, "public", "orders", "%"), meta.getBestRowIdentifier(null, "public", "orders", 0, true),
                meta.getVersionColumns(null, "public", "orders"), meta.getUDTs(null, null, "%", null), meta.getClientInfoProperties(),
            }) {
                count(rows);
            }
            // The grid: the first 200 rows, with metadata of each column.
            try (Statement statement = connections.get(2).createStatement()) {
                statement.setMaxRows(200);
                try (ResultSet rows = statement.executeQuery("SELECT * FROM public.customers")) {
                    ResultSetMetaData columns = rows.getMetaData();
                    for (int index = 1; index <= columns.getColumnCount(); index++) {
                        columns.getColumnTypeName(index);
                        columns.isNullable(index);
                        columns.isAutoIncrement(index);
                        columns.unwrap(org.postgresql.PGResultSetMetaData.class).getBaseTableName(index);
                    }
                    that(count(rows) == 20, "rows");
                }
            }
        } finally {
            for (Connection connection : connections) connection.close();
        }
    }

    static void reconnect(Connection connection) throws Exception {
        int process = connection.unwrap(PGConnection.class).getBackendPID();
        connection.close();
        try (Connection again = open(write)) {
            that(again.unwrap(PGConnection.class).getBackendPID() != process, "another process");
            that(again.isValid(5), "usable");
        }
    }

    public static void main(String[] arguments) throws Exception {
        write = arguments[0];
        read = arguments[1];
        Map<String, Check> checks = new LinkedHashMap<>();
        checks.put("simple", Driver::simple);
        checks.put("prepared", Driver::prepared);
        checks.put("binary", Driver::binary);
        checks.put("copy", Driver::copy);
        checks.put("cancel", Driver::cancel);
        checks.put("error", Driver::error);
        checks.put("notice", Driver::notice);
        checks.put("large", Driver::large);
        checks.put("transaction", Driver::transaction);
        checks.put("masked", Driver::masked);
        checks.put("returned", Driver::returned);
        checks.put("introspection", Driver::introspection);
        checks.put("reconnect", Driver::reconnect);
        Connection connection = open(write);
        for (var check : checks.entrySet()) {
            try {
                check.getValue().run(connection);
                System.out.println(check.getKey() + ": ok");
            } catch (Throwable problem) {
                System.out.println(check.getKey() + ": " + problem.toString().replace('\n', ' '));
            }
        }
    }
}
