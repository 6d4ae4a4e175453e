package org.guantong.interop;

import java.net.InetAddress;
import java.net.UnknownHostException;
import net.handle.hdllib.AbstractMessage;
import net.handle.hdllib.AbstractRequest;
import net.handle.hdllib.AbstractResponse;
import net.handle.hdllib.ClientSessionTracker;
import net.handle.hdllib.GenericRequest;
import net.handle.hdllib.GetSiteInfoResponse;
import net.handle.hdllib.HandleException;
import net.handle.hdllib.HandleResolver;
import net.handle.hdllib.HandleValue;
import net.handle.hdllib.Interface;
import net.handle.hdllib.ResolutionRequest;
import net.handle.hdllib.ResolutionResponse;
import net.handle.hdllib.ResponseMessageCallback;
import net.handle.hdllib.ServerInfo;
import net.handle.hdllib.SiteInfo;
import net.handle.hdllib.Util;

/**
 * The node under test, as the Handle.Net library sees it.
 *
 * <p>Where it is comes from the environment, set by the script that started it. The library is told
 * nothing but these addresses: site, keys and interfaces come from the node itself.
 */
final class Node {
    /** Asked for once, without a key to check the answer with. */
    private static byte[] publishedKey;

    static {
        publishedKey = askForKey();
    }

    /** How a request travels. */
    enum Transport {
        UDP(Interface.SP_HDL_UDP, "GUANTONG_UDP"),
        TCP(Interface.SP_HDL_TCP, "GUANTONG_TCP"),
        HTTP(Interface.SP_HDL_HTTP, "GUANTONG_HTTP"),
        HTTPS(Interface.SP_HDL_HTTPS, "GUANTONG_HTTPS");

        private final byte protocol;
        private final String variable;

        Transport(byte protocol, String variable) {
            this.protocol = protocol;
            this.variable = variable;
        }

        private Interface toInterface(String of) {
            String variable = this.variable.replace("GUANTONG_", "GUANTONG_" + of);
            String port = System.getenv(variable);
            if (port == null) {
                throw new IllegalStateException(
                        variable + " is not set: start these tests with tests/interop/run");
            }
            return new Interface(Interface.ST_ADMIN_AND_QUERY, protocol, Integer.parseInt(port));
        }
    }

    /** A resolver without memory, so that every request reaches the node. */
    static HandleResolver resolver() {
        HandleResolver resolver = new HandleResolver();
        resolver.setCache(null);
        resolver.setCertifiedCache(null);
        resolver.setTcpTimeout(20_000);
        return resolver;
    }

    /** Sends one request by one transport, and gives back whatever the node answers. */
    static AbstractResponse ask(AbstractRequest request, Transport transport)
            throws HandleException {
        return ask(request, "", transport);
    }

    /** The same at another node of the network: "ROOT_" or "RECURSIVE_". */
    static AbstractResponse ask(AbstractRequest request, String of, Transport transport)
            throws HandleException {
        request.setSupportedProtocolVersion();
        ServerInfo server = server(of, transport);
        return resolver().sendRequestToInterface(request, server, server.interfaces[0]);
    }

    /**
     * Sends a request, proves who asks if the node wants to know, and gives back the last answer.
     * {@code parts} is told every message of an answer that comes in several.
     */
    static AbstractResponse administer(
            AbstractRequest request, Transport transport, ResponseMessageCallback parts)
            throws HandleException {
        SiteInfo site = site(Transport.TCP);
        site.servers = new ServerInfo[] {server("", transport)};
        request.setSupportedProtocolVersion();
        HandleResolver resolver = resolver();
        resolver.setPreferredProtocols(new int[] {transport.ordinal()});
        // Without one, the library proves who asks for each request by itself.
        resolver.setSessionTracker(null);
        return resolver.sendRequestToSite(request, site, transport.ordinal(), parts);
    }

    /** As {@code administer}, in the sessions of this tracker. */
    static AbstractResponse administerInSession(
            AbstractRequest request, Transport transport, ClientSessionTracker sessions)
            throws HandleException {
        SiteInfo site = site(Transport.TCP);
        site.servers = new ServerInfo[] {server("", transport)};
        request.setSupportedProtocolVersion();
        HandleResolver resolver = resolver();
        resolver.setPreferredProtocols(new int[] {transport.ordinal()});
        resolver.setSessionTracker(sessions);
        return resolver.sendRequestToSite(request, site, transport.ordinal(), null);
    }

    /** All publicly readable values of a handle. */
    static HandleValue[] values(String handle, Transport transport) throws HandleException {
        return values(request(handle, null, null), transport);
    }

    /** The values that a request asks for; anything but success fails the test. */
    static HandleValue[] values(ResolutionRequest request, Transport transport)
            throws HandleException {
        AbstractResponse response = ask(request, transport);
        if (response instanceof ResolutionResponse) {
            return ((ResolutionResponse) response).getHandleValues();
        }
        throw HandleException.ofResponse(response);
    }

    /** A request for a selection of values; null selects nothing, and so everything. */
    static ResolutionRequest request(String handle, String[] types, int[] indexes) {
        byte[][] encoded = null;
        if (types != null) {
            encoded = new byte[types.length][];
            for (int i = 0; i < types.length; i++) {
                encoded[i] = Util.encodeString(types[i]);
            }
        }
        return new ResolutionRequest(Util.encodeString(handle), encoded, indexes, null);
    }

    /** What the node says about itself. */
    static SiteInfo site(Transport transport) throws HandleException {
        return site("", transport);
    }

    /** What another node of the network says about itself. */
    static SiteInfo site(String of, Transport transport) throws HandleException {
        GenericRequest request =
                new GenericRequest(Util.encodeString("/"), AbstractMessage.OC_GET_SITE_INFO, null);
        AbstractResponse response = ask(request, of, transport);
        if (response instanceof GetSiteInfoResponse) {
            return ((GetSiteInfoResponse) response).siteInfo;
        }
        throw HandleException.ofResponse(response);
    }

    private static ServerInfo server(String of, Transport transport) {
        ServerInfo server = new ServerInfo();
        server.serverId = 1;
        server.ipAddress = new byte[16];
        byte[] loopback = loopback().getAddress();
        System.arraycopy(loopback, 0, server.ipAddress, 12, loopback.length);
        server.interfaces = new Interface[] {transport.toInterface(of)};
        // TLS is checked with it; other nodes of the network have keys of their own.
        server.publicKey = of.isEmpty() ? publishedKey : null;
        return server;
    }

    /** The key in the site record: with it this library checks certificates and signatures. */
    private static byte[] askForKey() {
        try {
            return site(Transport.TCP).servers[0].publicKey;
        } catch (HandleException e) {
            throw new IllegalStateException("the node does not tell its site", e);
        }
    }

    private static InetAddress loopback() {
        try {
            return InetAddress.getByAddress(new byte[] {127, 0, 0, 1});
        } catch (UnknownHostException e) {
            throw new IllegalStateException("four octets are an address", e);
        }
    }

    private Node() {}
}
