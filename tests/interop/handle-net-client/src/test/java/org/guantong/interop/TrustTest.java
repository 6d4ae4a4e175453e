package org.guantong.interop;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.stream.Collectors;
import net.handle.hdllib.GsonUtility;
import net.handle.hdllib.HandleException;
import net.handle.hdllib.HandleRecord;
import net.handle.hdllib.HandleResolver;
import net.handle.hdllib.HandleValue;
import net.handle.hdllib.Util;
import net.handle.hdllib.ValueReference;
import net.handle.hdllib.trust.ChainBuilder;
import net.handle.hdllib.trust.ChainVerificationReport;
import net.handle.hdllib.trust.ChainVerifier;
import net.handle.hdllib.trust.HandleSigner;
import net.handle.hdllib.trust.JsonWebSignature;
import net.handle.hdllib.trust.JsonWebSignatureFactory;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Signed records: what this software signs Handle.Net's library verifies, and the reverse. */
class TrustTest {
    private static final String ROOT = "0.0/0.0";
    private static final String PREFIX = "0.NA/88.118.5";
    private static final String SIGNER = "300:0.NA/88.118.5";

    @TempDir static Path folder;

    private static PublicKey rootKey;
    private static Path adminKey;

    @BeforeAll
    static void certify() throws Exception {
        Path root = folder.resolve("root.pem");
        adminKey = Path.of(System.getenv("GUANTONG_CONFIG")).resolveSibling("admin_key.pem");
        guantong("key", "new", "--out", root.toString());
        String pem = guantong("key", "convert", root.toString(), "--to", "public-pem");
        Files.writeString(folder.resolve("root.pub"), pem);
        rootKey =
                KeyFactory.getInstance("RSA").generatePublic(new X509EncodedKeySpec(octets(pem)));
        // The record of the root is stored on the node although it answers for others only.
        certify("301:" + ROOT, root, "everything");
        certify(SIGNER, root, "handlesUnderThisPrefix:" + PREFIX);
    }

    private static void certify(String subject, Path root, String may) throws Exception {
        String issuer = "301:" + ROOT;
        String key = root.toString();
        onNode("trust", "certify", subject, "--key", key, "--as", issuer, "--may", may);
    }

    @Test
    void handleNetVerifiesWhatIsSignedHere() throws Exception {
        String name = "88.118.5/trust-ours";
        put(name, "1 URL https://example.org/");
        onNode("trust", "sign", name, "--key", adminKey.toString(), "--as", SIGNER);
        HandleRecord record = record(name);
        ChainVerificationReport report = report(name, record);
        assertTrue(report.canTrustAndAuthorized());
        assertEquals(List.of(1), report.valuesReport.verifiedValues);
        assertTrue(report.valuesReport.unsignedValues.isEmpty());
        assertTrue(report.valuesReport.missingValues.isEmpty());
        record.getValueAtIndex(1).setData(Util.encodeString("https://elsewhere.example/"));
        // Digests are reported beside what the library calls trust.
        assertEquals(List.of(1), report(name, record).valuesReport.badDigestValues);
    }

    @Test
    void whatHandleNetSignsIsVerifiedHere() throws Exception {
        String name = "88.118.5/trust-theirs";
        put(name, "1 URL https://example.org/");
        List<HandleValue> values = new ArrayList<>(record(name).getValues());
        byte[] key = octets(Files.readString(adminKey, StandardCharsets.US_ASCII));
        PrivateKey signing =
                KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(key));
        long now = System.currentTimeMillis() / 1000;
        JsonWebSignature signature =
                new HandleSigner()
                        .signHandleValues(
                                name,
                                values,
                                ValueReference.fromString(SIGNER),
                                signing,
                                null,
                                now - 10,
                                now + 1000);
        String value = "400 HS_SIGNATURE " + signature.serialize();
        onNode("record", "add", name, "--value", value);
        // The records of the chain are on the node, but 0.0 is nobody's there: ask the store.
        onNode("prefix", "home", "0.0");
        try {
            String verified = verify(name, 0);
            assertTrue(verified.contains("\"verdict\":\"verified\""), verified);
            onNode("record", "modify", name, "--value", "1 URL https://elsewhere.example/");
            String refused = verify(name, 1);
            assertTrue(refused.contains("value 1 is not what was signed"), refused);
        } finally {
            onNode("prefix", "unhome", "0.0");
        }
    }

    private static String verify(String name, int expected) throws Exception {
        String root = folder.resolve("root.pub").toString();
        return run(expected, config("trust", "verify", name, "--trust-root", root, "--json"));
    }

    private static ChainVerificationReport report(String name, HandleRecord record)
            throws Exception {
        List<HandleValue> values =
                record.getValues().stream()
                        .filter(value -> !value.hasType(Util.encodeString("HS_SIGNATURE")))
                        .collect(Collectors.toList());
        HandleValue signed = record.getValueAtIndex(400);
        JsonWebSignature signature =
                JsonWebSignatureFactory.getInstance().deserialize(signed.getDataAsString());
        return new ChainVerifier(List.of(rootKey))
                .verifyValues(name, values, new ChainBuilder(new OnNode()).buildChain(signature));
    }

    /** Finds certificates in the store of the node, public or not. */
    private static final class OnNode extends HandleResolver {
        @Override
        public HandleValue[] resolveHandle(byte[] handle) throws HandleException {
            try {
                List<HandleValue> values = record(Util.decodeString(handle)).getValues();
                return values.toArray(new HandleValue[0]);
            } catch (Exception e) {
                throw new HandleException(HandleException.INTERNAL_ERROR, e);
            }
        }
    }

    private static void put(String name, String value) throws Exception {
        onNode("record", "put", name, "--value", value);
    }

    private static HandleRecord record(String name) throws Exception {
        String json = onNode("record", "get", name, "--json");
        return GsonUtility.getGson().fromJson(json, HandleRecord.class);
    }

    private static byte[] octets(String pem) throws IOException, GeneralSecurityException {
        String base64 = pem.replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");
        return Base64.getDecoder().decode(base64);
    }

    private static String onNode(String... arguments) throws Exception {
        return run(0, config(arguments));
    }

    private static String[] config(String... arguments) {
        List<String> all = new ArrayList<>(Arrays.asList(arguments));
        all.addAll(List.of("--config", System.getenv("GUANTONG_CONFIG")));
        return all.toArray(new String[0]);
    }

    private static String guantong(String... arguments) throws Exception {
        return run(0, arguments);
    }

    /** What the command prints; it must end as expected. */
    private static String run(int expected, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(System.getenv("GUANTONG_BINARY")));
        command.addAll(Arrays.asList(arguments));
        Path errors = Files.createTempFile(folder, "stderr", ".txt");
        Process process =
                new ProcessBuilder(command).redirectError(errors.toFile()).start();
        String printed =
                new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(expected, process.waitFor(), command + ": " + Files.readString(errors));
        return printed;
    }
}
