package org.guantong.interop;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import net.cnri.util.StreamTable;
import net.handle.hdllib.AbstractRequest;
import net.handle.hdllib.AbstractResponse;
import net.handle.hdllib.AuthenticationInfo;
import net.handle.hdllib.DumpHandlesCallback;
import net.handle.hdllib.DumpHandlesRequest;
import net.handle.hdllib.DumpHandlesResponse;
import net.handle.hdllib.HandleException;
import net.handle.hdllib.HandleResolver;
import net.handle.hdllib.HandleValue;
import net.handle.hdllib.Interface;
import net.handle.hdllib.PublicKeyAuthenticationInfo;
import net.handle.hdllib.RetrieveTxnRequest;
import net.handle.hdllib.RetrieveTxnResponse;
import net.handle.hdllib.SiteInfo;
import net.handle.hdllib.Transaction;
import net.handle.hdllib.TransactionCallback;
import net.handle.hdllib.Util;
import org.guantong.interop.Node.Transport;
import org.junit.jupiter.api.Test;

/** The node as the primary of a Handle.Net mirror: the library reads its feed as mirrors do. */
class ReplicationTest {
    private static final String PREFIX_HANDLE = "0.NA/88.118.5";

    @Test
    void transactionsComeInOrderWithTheValuesOfNow() throws Exception {
        Log log = transactions(0, 0, serverKey());
        assertEquals(RetrieveTxnResponse.SENDING_TRANSACTIONS, log.status);
        assertTrue(log.queryDate > 0);
        long last = 0;
        Map<String, Transaction> latest = new HashMap<>();
        for (Transaction transaction : log.transactions) {
            assertTrue(transaction.txnId > last, "numbers ascend");
            last = transaction.txnId;
            latest.put(Util.decodeString(transaction.handle), transaction);
        }
        String handle = aPublicHandle(latest);
        HandleValue[] expected = Node.values(handle, Transport.TCP);
        assertArrayEquals(expected, latest.get(handle).values);
    }

    @Test
    void mirrorGoesOnWhereItStopped() throws Exception {
        Log log = transactions(0, 0, serverKey());
        int middle = log.transactions.size() / 2;
        long position = log.transactions.get(middle).txnId;
        Log rest = transactions(position, log.queryDate, serverKey());
        assertEquals(log.transactions.size() - middle - 1, rest.transactions.size());
        Log nothing = transactions(last(log), log.queryDate, serverKey());
        assertEquals(RetrieveTxnResponse.SENDING_TRANSACTIONS, nothing.status);
        assertEquals(List.of(), nothing.transactions);
    }

    @Test
    void mirrorOfAnotherLogIsToldToAskForEverything() throws Exception {
        long unknown = last(transactions(0, 0, serverKey())) + 1_000;
        Log log = transactions(unknown, 0, serverKey());
        assertEquals(RetrieveTxnResponse.NEED_TO_REDUMP, log.status);
    }

    @Test
    void everythingIsSentWithThePositionAndTheHomedPrefixes() throws Exception {
        long last = last(transactions(0, 0, serverKey()));
        Everything dump = everything(request(0, 1));
        assertTrue(dump.homed.contains(PREFIX_HANDLE));
        assertTrue(dump.records.containsKey(PREFIX_HANDLE));
        assertTrue(dump.lastTxn >= last);
        for (Map.Entry<String, HandleValue[]> record : dump.records.entrySet()) {
            boolean isPublic = true;
            for (HandleValue value : record.getValue()) {
                isPublic &= value.getAnyoneCanRead();
            }
            if (isPublic && record.getValue().length > 0) {
                HandleValue[] expected = Node.values(record.getKey(), Transport.TCP);
                assertArrayEquals(expected, record.getValue(), record.getKey());
            }
        }
    }

    @Test
    void serversOfAMirrorReceiveTheirSharesOnly() throws Exception {
        Set<String> all = everything(request(0, 1)).records.keySet();
        Set<String> shares = new HashSet<>();
        for (int server = 0; server < 2; server++) {
            for (String handle : everything(request(server, 2)).records.keySet()) {
                int responsible =
                        SiteInfo.determineServerNum(
                                Util.encodeString(handle), SiteInfo.HASH_TYPE_BY_ALL, 2);
                assertEquals(responsible, server, handle);
                assertTrue(shares.add(handle), handle);
            }
        }
        assertEquals(all, shares);
    }

    @Test
    void mirrorBeforeTlsReadsSignedBlocks() throws Exception {
        RetrieveTxnRequest request = transactionsAfter(0, 0);
        request.minorProtocolVersion = 7;
        request.suggestMinorProtocolVersion = 7;
        AbstractResponse response = ask(request);
        assertEquals(7, response.minorProtocolVersion);
        Log log = read(response, serverKey());
        assertEquals(RetrieveTxnResponse.SENDING_TRANSACTIONS, log.status);
        assertFalse(log.transactions.isEmpty());
    }

    @Test
    void serverWithAnotherKeyIsNotBelieved() throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
        generator.initialize(2_048);
        PublicKey other = generator.generateKeyPair().getPublic();
        assertThrows(HandleException.class, () -> transactions(0, 0, other));
    }

    //--- Asking

    private static RetrieveTxnRequest transactionsAfter(long last, long date) {
        return new RetrieveTxnRequest(last, date, SiteInfo.HASH_TYPE_BY_ALL, 1, 0, mirror());
    }

    private static Log transactions(long last, long date, PublicKey key) throws HandleException {
        RetrieveTxnRequest request = transactionsAfter(last, date);
        request.setSupportedProtocolVersion();
        return read(ask(request), key);
    }

    /** Sends a request over TCP and proves who asks. */
    private static AbstractResponse ask(AbstractRequest request) throws HandleException {
        HandleResolver resolver = Node.resolver();
        resolver.setPreferredProtocols(new int[] {Interface.SP_HDL_TCP});
        // Without one, the library proves who asks for each request by itself.
        resolver.setSessionTracker(null);
        SiteInfo site = Node.site(Transport.TCP);
        return resolver.sendRequestToSite(request, site, Interface.SP_HDL_TCP, null);
    }

    private static Log read(AbstractResponse response, PublicKey key) throws HandleException {
        if (!(response instanceof RetrieveTxnResponse)) {
            throw HandleException.ofResponse(response);
        }
        Log log = new Log();
        log.status = ((RetrieveTxnResponse) response).processStreamedPart(log, key);
        return log;
    }

    private static DumpHandlesRequest request(int server, int servers) {
        return new DumpHandlesRequest(SiteInfo.HASH_TYPE_BY_ALL, servers, server, mirror());
    }

    private static Everything everything(AbstractRequest request) throws Exception {
        request.setSupportedProtocolVersion();
        AbstractResponse response = ask(request);
        if (!(response instanceof DumpHandlesResponse)) {
            throw HandleException.ofResponse(response);
        }
        Everything dump = new Everything();
        ((DumpHandlesResponse) response).processStreamedPart(dump, serverKey());
        return dump;
    }

    private static long last(Log log) {
        return log.transactions.get(log.transactions.size() - 1).txnId;
    }

    private static String aPublicHandle(Map<String, Transaction> latest) {
        for (Map.Entry<String, Transaction> each : latest.entrySet()) {
            HandleValue[] values = each.getValue().values;
            boolean isPublic = values != null && values.length > 0;
            for (HandleValue value : isPublic ? values : new HandleValue[0]) {
                isPublic &= value.getAnyoneCanRead();
            }
            if (isPublic) {
                return each.getKey();
            }
        }
        throw new IllegalStateException("the node has public records");
    }

    //--- Keys

    private static PublicKey serverKey() throws Exception {
        return Util.getPublicKeyFromBytes(Node.site(Transport.TCP).servers[0].publicKey, 0);
    }

    /** An identity that may follow the node: with-node has written it into the configuration. */
    private static AuthenticationInfo mirror() {
        Path file = Path.of(System.getenv("GUANTONG_CONFIG")).resolveSibling("admin_key.pem");
        try {
            String pem = Files.readString(file, StandardCharsets.US_ASCII);
            String base64 = pem.replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");
            PKCS8EncodedKeySpec key = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(base64));
            PrivateKey secret = KeyFactory.getInstance("RSA").generatePrivate(key);
            return new PublicKeyAuthenticationInfo(Util.encodeString(PREFIX_HANDLE), 300, secret);
        } catch (IOException | GeneralSecurityException e) {
            throw new IllegalStateException("the key of the mirror cannot be read", e);
        }
    }

    //--- Hearing

    private static final class Log implements TransactionCallback {
        private final List<Transaction> transactions = new ArrayList<>();
        private long queryDate;
        private int status;

        @Override
        public void processTransaction(Transaction transaction) {
            transactions.add(transaction);
        }

        @Override
        public void processTransaction(String queue, Transaction transaction) {
            throw new IllegalStateException("several queues were not asked for");
        }

        @Override
        public void finishProcessing(long date) {
            queryDate = date;
        }

        @Override
        public void finishProcessing() {}

        @Override
        public void setQueueLastTimestamp(String queue, long date) {
            throw new IllegalStateException("several queues were not asked for");
        }
    }

    private static final class Everything implements DumpHandlesCallback {
        private final Map<String, HandleValue[]> records = new HashMap<>();
        private final Set<String> homed = new HashSet<>();
        private long lastTxn;

        @Override
        public void addHandle(byte[] handle, HandleValue[] values) {
            records.put(Util.decodeString(handle), values);
        }

        @Override
        public void addHomedPrefix(byte[] prefix) {
            homed.add(Util.decodeString(prefix));
        }

        @Override
        public void processThisServerReplicationInfo(long date, long txnId) {
            lastTxn = txnId;
        }

        @Override
        public void processOtherSiteReplicationInfo(StreamTable state) {
            throw new IllegalStateException("there are no other primaries");
        }

        @Override
        public void setLastCreateOrDeleteDate(byte[] handle, long date, int priority) {}

        @Override
        public void setLastHomeOrUnhomeDate(byte[] prefix, long date, int priority) {}
    }
}
