package org.guantong.interop;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import net.handle.hdllib.AbstractMessage;
import net.handle.hdllib.AbstractRequest;
import net.handle.hdllib.AbstractResponse;
import net.handle.hdllib.AddValueRequest;
import net.handle.hdllib.AuthenticationInfo;
import net.handle.hdllib.CreateHandleRequest;
import net.handle.hdllib.CreateHandleResponse;
import net.handle.hdllib.DeleteHandleRequest;
import net.handle.hdllib.GenericRequest;
import net.handle.hdllib.HandleException;
import net.handle.hdllib.HandleValue;
import net.handle.hdllib.ListHandlesRequest;
import net.handle.hdllib.ListHandlesResponse;
import net.handle.hdllib.ListNAsRequest;
import net.handle.hdllib.ListNAsResponse;
import net.handle.hdllib.ModifyValueRequest;
import net.handle.hdllib.RemoveValueRequest;
import net.handle.hdllib.ResolutionRequest;
import net.handle.hdllib.ResolutionResponse;
import net.handle.hdllib.Util;
import org.guantong.interop.Node.Transport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Changes, by every transport, with a public and with a secret key. */
class AdministrationTest {
    @ParameterizedTest
    @EnumSource(Transport.class)
    void recordLivesItsLifeByPublicKey(Transport transport) throws HandleException {
        String handle = "88.118.5/java-life-" + transport;
        lifeOf(handle, Administrator.PREFIX_HANDLE, Administrator.byPublicKey(), transport);
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void recordLivesItsLifeBySecretKey(Transport transport) throws HandleException {
        String user = "88.118.5/java-user-" + transport;
        String handle = "88.118.5/java-secret-life-" + transport;
        AuthenticationInfo operator = Administrator.byPublicKey();
        HandleValue[] key = {
            Administrator.admin(100, Administrator.PREFIX_HANDLE),
            Administrator.restricted(300, "HS_SECKEY", "correct horse")
        };
        succeed(create(user, key, operator), transport);
        // The user administers this record only: the prefix is not his.
        HandleValue[] values = {Administrator.admin(100, user)};
        succeed(create(handle, values, operator), transport);
        AuthenticationInfo secret = Administrator.bySecretKey(user, "correct horse");
        succeed(new AddValueRequest(octets(handle), url(1, "one"), secret), transport);
        assertEquals("one", Node.values(handle, transport)[1].getDataAsString());
        AuthenticationInfo wrong = Administrator.bySecretKey(user, "wrong horse");
        assertEquals(
                AbstractMessage.RC_AUTHENTICATION_FAILED,
                ask(new AddValueRequest(octets(handle), url(2, "two"), wrong), transport));
        assertEquals(
                AbstractMessage.RC_INVALID_ADMIN,
                ask(create("88.118.5/java-not-his", values, secret), transport));
        succeed(new DeleteHandleRequest(octets(handle), secret), transport);
        succeed(new DeleteHandleRequest(octets(user), operator), transport);
    }

    private static void lifeOf(
            String handle, String admin, AuthenticationInfo who, Transport transport)
            throws HandleException {
        HandleValue[] first = {Administrator.admin(100, admin), url(1, "one")};
        assertInstanceOf(
                CreateHandleResponse.class, succeed(create(handle, first, who), transport));
        assertEquals(
                AbstractMessage.RC_HANDLE_ALREADY_EXISTS,
                ask(create(handle, first, who), transport));
        succeed(new AddValueRequest(octets(handle), url(2, "two"), who), transport);
        assertEquals(
                AbstractMessage.RC_VALUE_ALREADY_EXISTS,
                ask(new AddValueRequest(octets(handle), url(2, "two"), who), transport));
        succeed(new ModifyValueRequest(octets(handle), url(1, "new"), who), transport);
        succeed(new RemoveValueRequest(octets(handle), 2, who), transport);
        assertEquals(
                AbstractMessage.RC_VALUES_NOT_FOUND,
                ask(new RemoveValueRequest(octets(handle), 2, who), transport));
        HandleValue[] values = Node.values(handle, transport);
        assertArrayEquals(
                new int[] {100, 1}, Arrays.stream(values).mapToInt(v -> v.getIndex()).toArray());
        assertEquals("new", values[1].getDataAsString());
        succeed(new DeleteHandleRequest(octets(handle), who), transport);
        assertEquals(
                AbstractMessage.RC_HANDLE_NOT_FOUND,
                ask(new DeleteHandleRequest(octets(handle), who), transport));
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void overwritingAndMintingDoAsTheySay(Transport transport) throws HandleException {
        AuthenticationInfo who = Administrator.byPublicKey();
        HandleValue[] values = {
            Administrator.admin(100, Administrator.PREFIX_HANDLE), url(1, "one")
        };
        CreateHandleRequest mint = create("88.118.5/java-mint-", values, who);
        mint.mintNewSuffix = true;
        CreateHandleResponse minted = (CreateHandleResponse) succeed(mint, transport);
        String name = Util.decodeString(minted.handle);
        assertTrue(name.matches("88\\.118\\.5/java-mint-[0-9a-f-]{36}"), name);
        CreateHandleRequest over = create(name, new HandleValue[] {values[0], url(7, "x")}, who);
        over.overwriteWhenExists = true;
        succeed(over, transport);
        HandleValue[] found = Node.values(name, transport);
        assertEquals(7, found[1].getIndex());
        succeed(new DeleteHandleRequest(octets(name), who), transport);
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void certifiedAnswerToAProofIsSigned(Transport transport) throws HandleException {
        AuthenticationInfo who = Administrator.byPublicKey();
        String handle = "88.118.5/java-certified-" + transport;
        HandleValue[] values = {
            Administrator.admin(100, Administrator.PREFIX_HANDLE), url(1, "one")
        };
        CreateHandleRequest create = create(handle, values, who);
        // Asks for a signature, and for the digest of the request; the library checks both.
        create.certify = true;
        create.returnRequestDigest = true;
        succeed(create, transport);
        succeed(new DeleteHandleRequest(octets(handle), who), transport);
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void restrictedValueIsReadByItsAdministrator(Transport transport) throws HandleException {
        AuthenticationInfo who = Administrator.byPublicKey();
        String handle = "88.118.5/java-restricted-" + transport;
        HandleValue[] values = {
            Administrator.admin(100, Administrator.PREFIX_HANDLE),
            Administrator.restricted(1, "NOTE", "for administrators"),
            Administrator.restricted(300, "HS_SECKEY", "for nobody")
        };
        succeed(create(handle, values, who), transport);
        ResolutionRequest request = new ResolutionRequest(octets(handle), null, null, who);
        request.ignoreRestrictedValues = false;
        ResolutionResponse response = (ResolutionResponse) succeed(request, transport);
        int[] indexes =
                Arrays.stream(response.getHandleValues()).mapToInt(v -> v.getIndex()).toArray();
        assertArrayEquals(new int[] {100, 1}, indexes);
        succeed(new DeleteHandleRequest(octets(handle), who), transport);
    }

    @ParameterizedTest
    @EnumSource(
            value = Transport.class,
            names = {"TCP", "HTTP", "HTTPS"})
    void handlesAreListedPageByPage(Transport transport) throws HandleException {
        AuthenticationInfo who = Administrator.byPublicKey();
        HandleValue[] values = {Administrator.admin(100, Administrator.PREFIX_HANDLE)};
        List<String> made = new ArrayList<>();
        for (int n = 0; n < 60; n++) {
            String handle = "88.118.5/java-list-" + transport + "-" + (100 + n);
            succeed(create(handle, values, who), Transport.TCP);
            made.add(handle);
        }
        List<String> listed = new ArrayList<>();
        ListHandlesRequest list =
                new ListHandlesRequest(octets(Administrator.PREFIX_HANDLE), who);
        AbstractResponse response =
                Node.administer(
                        list,
                        transport,
                        part -> {
                            for (byte[] handle : ((ListHandlesResponse) part).handles) {
                                listed.add(Util.decodeString(handle));
                            }
                        });
        assertEquals(AbstractMessage.RC_SUCCESS, response.responseCode, response.toString());
        assertTrue(listed.containsAll(made), listed.toString());
        for (String handle : made) {
            succeed(new DeleteHandleRequest(octets(handle), who), Transport.TCP);
        }
    }

    @Test
    void prefixIsHomedListedAndUnhomed() throws HandleException {
        AuthenticationInfo who = Administrator.byPublicKey();
        succeed(prefix(AbstractMessage.OC_HOME_NA, "0.NA/88.118.77", who), Transport.TCP);
        assertTrue(homed(who).contains("0.NA/88.118.77"));
        succeed(prefix(AbstractMessage.OC_UNHOME_NA, "0.NA/88.118.77", who), Transport.TCP);
        assertFalse(homed(who).contains("0.NA/88.118.77"));
        assertEquals(
                AbstractMessage.RC_INVALID_HANDLE,
                ask(prefix(AbstractMessage.OC_HOME_NA, "88.118.5/x", who), Transport.TCP));
    }

    private static List<String> homed(AuthenticationInfo who) throws HandleException {
        List<String> names = new ArrayList<>();
        AbstractResponse response =
                Node.administer(
                        new ListNAsRequest(octets("/"), who),
                        Transport.TCP,
                        part -> {
                            for (byte[] handle : ((ListNAsResponse) part).handles) {
                                names.add(Util.decodeString(handle));
                            }
                        });
        assertEquals(AbstractMessage.RC_SUCCESS, response.responseCode, response.toString());
        return names;
    }

    private static GenericRequest prefix(int op, String handle, AuthenticationInfo who) {
        GenericRequest request = new GenericRequest(octets(handle), op, who);
        request.isAdminRequest = true;
        return request;
    }

    private static CreateHandleRequest create(
            String handle, HandleValue[] values, AuthenticationInfo who) {
        return new CreateHandleRequest(octets(handle), values, who);
    }

    private static HandleValue url(int index, String data) {
        return Administrator.value(index, "URL", data);
    }

    private static byte[] octets(String text) {
        return Util.encodeString(text);
    }

    private static int ask(AbstractRequest request, Transport transport) throws HandleException {
        return Node.administer(request, transport, null).responseCode;
    }

    private static AbstractResponse succeed(AbstractRequest request, Transport transport)
            throws HandleException {
        AbstractResponse response = Node.administer(request, transport, null);
        assertEquals(AbstractMessage.RC_SUCCESS, response.responseCode, response.toString());
        return response;
    }
}
