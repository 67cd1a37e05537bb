import java.sql.DriverManager;

/** Logs in, asks for 1, and prints it. */
class One {
    public static void main(String[] arguments) throws Exception {
        try (var connection = DriverManager.getConnection(arguments[0]); var statement = connection.createStatement()) {
            var rows = statement.executeQuery("select 1");
            rows.next();
            System.out.println(rows.getInt(1));
        }
    }
}
