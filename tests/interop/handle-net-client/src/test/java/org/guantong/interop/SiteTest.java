package org.guantong.interop;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import net.handle.hdllib.HandleException;
import net.handle.hdllib.Interface;
import net.handle.hdllib.SiteInfo;
import org.guantong.interop.Node.Transport;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What the node says about itself. */
class SiteTest {
    @ParameterizedTest
    @EnumSource(Transport.class)
    void siteIsPrimaryAndNamesItsInterfaces(Transport transport) throws HandleException {
        SiteInfo site = Node.site(transport);
        assertTrue(site.isPrimary);
        assertEquals(1, site.servers.length);
        assertEquals("127.0.0.1", site.servers[0].getAddressString());
        for (Transport each : Transport.values()) {
            assertTrue(
                    Arrays.stream(site.servers[0].interfaces).anyMatch(i -> serves(i, each)),
                    "an interface for " + each);
        }
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void everyTransportTellsTheSameSite(Transport transport) throws HandleException {
        assertEquals(Node.site(Transport.UDP), Node.site(transport));
    }

    private static boolean serves(Interface offered, Transport transport) {
        String port = System.getenv("GUANTONG_" + transport.name());
        return offered.protocol == transport.ordinal() && offered.port == Integer.parseInt(port);
    }
}
