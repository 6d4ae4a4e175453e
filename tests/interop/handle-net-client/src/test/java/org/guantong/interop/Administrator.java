package org.guantong.interop;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import net.handle.hdllib.AdminRecord;
import net.handle.hdllib.AuthenticationInfo;
import net.handle.hdllib.Encoder;
import net.handle.hdllib.HandleValue;
import net.handle.hdllib.PublicKeyAuthenticationInfo;
import net.handle.hdllib.SecretKeyAuthenticationInfo;
import net.handle.hdllib.Util;

/** The identities that administer the node under test, and values for them to write. */
final class Administrator {
    /** The prefix of the node, and whose record holds the administrator's public key. */
    static final String PREFIX_HANDLE = "0.NA/88.118.5";

    private static final int KEY_INDEX = 300;

    /** The administrator of the prefix, by the key that {@code guantong init} has made. */
    static AuthenticationInfo byPublicKey() {
        return new PublicKeyAuthenticationInfo(
                Util.encodeString(PREFIX_HANDLE), KEY_INDEX, adminKey());
    }

    /** Somebody with a secret key in value 300 of the record of this handle. */
    static AuthenticationInfo bySecretKey(String handle, String secret) {
        return new SecretKeyAuthenticationInfo(
                Util.encodeString(handle), KEY_INDEX, Util.encodeString(secret));
    }

    /** A value that anybody may read. */
    static HandleValue value(int index, String type, String data) {
        return new HandleValue(index, Util.encodeString(type), Util.encodeString(data));
    }

    /** A value that administrators may read. */
    static HandleValue restricted(int index, String type, String data) {
        HandleValue value = value(index, type, data);
        value.setAnyoneCanRead(false);
        return value;
    }

    /** An HS_ADMIN value with all permissions for the key in value 300 of this handle. */
    static HandleValue admin(int index, String handle) {
        AdminRecord record =
                new AdminRecord(
                        Util.encodeString(handle),
                        KEY_INDEX,
                        true,
                        true,
                        true,
                        true,
                        true,
                        true,
                        true,
                        true,
                        true,
                        true,
                        true,
                        true);
        return new HandleValue(
                index, Util.encodeString("HS_ADMIN"), Encoder.encodeAdminRecord(record));
    }

    private static PrivateKey adminKey() {
        Path file = Path.of(System.getenv("GUANTONG_CONFIG")).resolveSibling("admin_key.pem");
        try {
            String pem = Files.readString(file, StandardCharsets.US_ASCII);
            String base64 = pem.replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");
            PKCS8EncodedKeySpec key = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(base64));
            return KeyFactory.getInstance("RSA").generatePrivate(key);
        } catch (IOException | GeneralSecurityException e) {
            throw new IllegalStateException("the administrator's key cannot be read", e);
        }
    }

    private Administrator() {}
}
