package org.guantong.interop;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.security.PublicKey;
import java.util.Arrays;
import net.handle.hdllib.AbstractMessage;
import net.handle.hdllib.AbstractResponse;
import net.handle.hdllib.AdminRecord;
import net.handle.hdllib.Encoder;
import net.handle.hdllib.ErrorResponse;
import net.handle.hdllib.HandleException;
import net.handle.hdllib.HandleResolver;
import net.handle.hdllib.HandleValue;
import net.handle.hdllib.ResolutionRequest;
import net.handle.hdllib.ResolutionResponse;
import net.handle.hdllib.SiteInfo;
import net.handle.hdllib.Util;
import org.guantong.interop.Node.Transport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Resolution of the records of {@code tests/interop/records.jsonl}, by every transport. */
class ResolutionTest {
    private static final String PLAIN = "88.118.5/plain";
    private static final String LARGE = "88.118.5/large";
    private static final String RESTRICTED = "88.118.5/restricted";
    private static final String SECRET = "88.118.5/secret";

    @ParameterizedTest
    @EnumSource(Transport.class)
    void valuesComeAsTheyWereRegistered(Transport transport) throws HandleException {
        HandleValue[] values = Node.values(PLAIN, transport);
        assertArrayEquals(new int[] {1, 2, 3, 100}, indexes(values));
        assertEquals("URL", values[0].getTypeAsString());
        assertEquals("https://example.org/plain", values[0].getDataAsString());
        assertEquals(3600, values[0].getTTL());
        assertEquals("1110", permissions(values[0]));
        assertEquals("量子 Straße", values[1].getDataAsString());
        assertArrayEquals(new byte[] {0, 1, (byte) 0xff, (byte) 0x80}, values[2].getData());
        AdminRecord admin = Encoder.decodeAdminRecord(values[3].getData(), 0);
        assertEquals("0.NA/88.118.5", Util.decodeString(admin.adminId));
        assertEquals(300, admin.adminIdIndex);
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void typesAndIndexesSelectByUnion(Transport transport) throws HandleException {
        ResolutionRequest request =
                Node.request(PLAIN, new String[] {"url"}, new int[] {3, 77});
        assertArrayEquals(new int[] {1, 3}, indexes(Node.values(request, transport)));
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void typeWithADotSelectsTheFamily(Transport transport) throws HandleException {
        ResolutionRequest family = Node.request(LARGE, new String[] {"DESC."}, null);
        assertEquals(12, Node.values(family, transport).length);
        ResolutionRequest plain = Node.request(LARGE, new String[] {"DESC"}, null);
        AbstractResponse exact = Node.ask(plain, transport);
        assertEquals(AbstractMessage.RC_VALUES_NOT_FOUND, exact.responseCode);
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void recordLargerThanADatagramArrivesWhole(Transport transport) throws HandleException {
        HandleValue[] values = Node.values(LARGE, transport);
        assertEquals(12, values.length);
        int octets = Arrays.stream(values).mapToInt(value -> value.getData().length).sum();
        assertTrue(octets > 1_000, "the record has " + octets + " octets of data");
        for (HandleValue value : values) {
            String number = String.valueOf(value.getIndex());
            assertTrue(value.getDataAsString().startsWith("Part " + number + " "));
        }
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void nameMayHoldAnyCharacter(Transport transport) throws HandleException {
        HandleValue[] values = Node.values("88.118.5/电池 №7/β?a=b#c%20", transport);
        assertEquals("a name with everything", values[0].getDataAsString());
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void lettersOfANameMayBeOfEitherCase(Transport transport) throws HandleException {
        AbstractResponse response = Node.ask(Node.request("88.118.5/PlAiN", null, null), transport);
        ResolutionResponse found = (ResolutionResponse) response;
        assertEquals("88.118.5/PlAiN", Util.decodeString(found.handle), "echoed as asked");
        assertEquals(4, found.values.length);
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void answerBearsTheDigestOfTheRequest(Transport transport) throws HandleException {
        ResolutionRequest request = Node.request(PLAIN, null, null);
        request.returnRequestDigest = true;
        AbstractResponse response = Node.ask(request, transport);
        assertEquals(AbstractMessage.RC_SUCCESS, response.responseCode);
        assertTrue(response.returnRequestDigest, "the reply says that it bears a digest");
        byte[] expected = Util.doDigest(response.rdHashType, request.getEncodedMessageBody());
        assertArrayEquals(expected, response.requestDigest);
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void primarySiteAnswersWithAuthority(Transport transport) throws HandleException {
        AbstractResponse response = Node.ask(Node.request(PLAIN, null, null), transport);
        assertTrue(response.authoritative);
        assertEquals(2, response.majorProtocolVersion);
        assertEquals(11, response.minorProtocolVersion);
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void missingHandleIsNotFound(Transport transport) throws HandleException {
        AbstractResponse response = Node.ask(Node.request("88.118.5/none", null, null), transport);
        assertEquals(AbstractMessage.RC_HANDLE_NOT_FOUND, response.responseCode);
        assertTrue(response instanceof ErrorResponse);
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void foreignPrefixIsNotOurs(Transport transport) throws HandleException {
        AbstractResponse response = Node.ask(Node.request("20.500.999/x", null, null), transport);
        assertEquals(AbstractMessage.RC_SERVER_NOT_RESP, response.responseCode);
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void anonymousReaderGetsPublicValuesOnly(Transport transport) throws HandleException {
        assertArrayEquals(new int[] {1, 100}, indexes(Node.values(RESTRICTED, transport)));
        ResolutionRequest request = Node.request(RESTRICTED, null, new int[] {2});
        AbstractResponse hidden = Node.ask(request, transport);
        assertEquals(AbstractMessage.RC_VALUES_NOT_FOUND, hidden.responseCode);
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void valueThatNobodyMayReadIsRefused(Transport transport) throws HandleException {
        ResolutionRequest request = Node.request(SECRET, null, new int[] {2});
        request.ignoreRestrictedValues = false;
        AbstractResponse response = Node.ask(request, transport);
        assertEquals(AbstractMessage.RC_INSUFFICIENT_PERMISSIONS, response.responseCode);
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void restrictedValueAsksForAnIdentity(Transport transport) throws HandleException {
        ResolutionRequest request = Node.request(RESTRICTED, null, new int[] {2});
        request.ignoreRestrictedValues = false;
        AbstractResponse response = Node.ask(request, transport);
        assertEquals(AbstractMessage.RC_AUTHENTICATION_NEEDED, response.responseCode);
        byte[] expected = Util.doDigest(response.rdHashType, request.getEncodedMessageBody());
        assertArrayEquals(expected, response.requestDigest, "a challenge bears the digest");
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void certifiedAnswerIsSignedWithTheKeyOfTheSite(Transport transport) throws Exception {
        ResolutionRequest request = Node.request(PLAIN, null, null);
        request.certify = true;
        AbstractResponse response = Node.ask(request, transport);
        assertEquals(AbstractMessage.RC_SUCCESS, response.responseCode);
        PublicKey key = Node.site(Transport.TCP).servers[0].getPublicKey();
        assertTrue(response.verifyMessage(key));
    }

    @Test
    void resolverThatKnowsTheSiteFindsRecords() throws HandleException {
        HandleResolver resolver = resolverForOurPrefix();
        HandleValue[] values = resolver.resolveHandle(PLAIN, new String[] {"URL"}, null);
        assertEquals(1, values.length);
        assertEquals("https://example.org/plain", values[0].getDataAsString());
    }

    @Test
    void resolverReportsAMissingHandleAsException() throws HandleException {
        HandleResolver resolver = resolverForOurPrefix();
        HandleException thrown =
                assertThrows(HandleException.class, () -> resolver.resolveHandle("88.118.5/none"));
        assertEquals(HandleException.HANDLE_DOES_NOT_EXIST, thrown.getCode());
    }

    /** A resolver that uses the site record that the node publishes, and nothing else. */
    private static HandleResolver resolverForOurPrefix() throws HandleException {
        HandleResolver resolver = Node.resolver();
        SiteInfo[] sites = {Node.site(Transport.UDP)};
        assertFalse(sites[0].servers.length == 0);
        resolver.getConfiguration().setLocalSites("88.118.5", sites);
        resolver.getConfiguration().setLocalSites("0.NA/88.118.5", sites);
        return resolver;
    }

    private static int[] indexes(HandleValue[] values) {
        return Arrays.stream(values).mapToInt(HandleValue::getIndex).sorted().toArray();
    }

    private static String permissions(HandleValue value) {
        return (value.getAdminCanRead() ? "1" : "0") + (value.getAdminCanWrite() ? "1" : "0")
                + (value.getAnyoneCanRead() ? "1" : "0") + (value.getAnyoneCanWrite() ? "1" : "0");
    }
}
