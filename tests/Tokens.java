// Prints tokens of Java's own Kerberos for a service, in base64: java Tokens.java HTTP@localhost COUNT
import java.util.Base64;
import org.ietf.jgss.GSSContext;
import org.ietf.jgss.GSSManager;
import org.ietf.jgss.GSSName;
import org.ietf.jgss.Oid;

public class Tokens {
    public static void main(String[] arguments) throws Exception {
        GSSManager manager = GSSManager.getInstance();
        GSSName service = manager.createName(arguments[0], GSSName.NT_HOSTBASED_SERVICE);
        for (String mechanism : new String[] {"1.3.6.1.5.5.2", "1.2.840.113554.1.2.2"}) {
            for (int number = 0; number < Integer.parseInt(arguments[1]); number++) {
                GSSContext context =
                    manager.createContext(service, new Oid(mechanism), null, GSSContext.DEFAULT_LIFETIME);
                context.requestMutualAuth(true);
                byte[] token = context.initSecContext(new byte[0], 0, 0);
                System.out.println(Base64.getEncoder().encodeToString(token));
            }
        }
    }
}
