package org.guantong.interop;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.util.Arrays;
import net.handle.hdllib.AbstractMessage;
import net.handle.hdllib.AbstractRequest;
import net.handle.hdllib.AbstractResponse;
import net.handle.hdllib.AddValueRequest;
import net.handle.hdllib.AuthenticationInfo;
import net.handle.hdllib.ClientSessionTracker;
import net.handle.hdllib.CreateHandleRequest;
import net.handle.hdllib.DeleteHandleRequest;
import net.handle.hdllib.HandleException;
import net.handle.hdllib.HandleValue;
import net.handle.hdllib.ResolutionRequest;
import net.handle.hdllib.ResolutionResponse;
import net.handle.hdllib.SessionSetupInfo;
import net.handle.hdllib.Util;
import org.guantong.interop.Node.Transport;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Sessions, which the library begins by itself when it has to prove who asks. */
class SessionTest {
    @ParameterizedTest
    @EnumSource(Transport.class)
    void manyRequestsShareOneSession(Transport transport) throws HandleException {
        ClientSessionTracker sessions = tracker();
        AuthenticationInfo who = Administrator.byPublicKey();
        String handle = "88.118.5/java-session-" + transport;
        HandleValue[] values = {
            Administrator.admin(100, Administrator.PREFIX_HANDLE),
            Administrator.restricted(1, "NOTE", "for administrators")
        };
        succeed(new CreateHandleRequest(octets(handle), values, who), transport, sessions);
        for (int index = 2; index < 8; index++) {
            HandleValue value = Administrator.value(index, "DESC", "value " + index);
            succeed(new AddValueRequest(octets(handle), value, who), transport, sessions);
        }
        succeed(new DeleteHandleRequest(octets(handle), who), transport, sessions);
    }

    @ParameterizedTest
    @EnumSource(Transport.class)
    void restrictedValuesComeEncrypted(Transport transport) throws HandleException {
        ClientSessionTracker sessions = tracker();
        AuthenticationInfo who = Administrator.byPublicKey();
        String handle = "88.118.5/java-encrypted-" + transport;
        HandleValue[] values = {
            Administrator.admin(100, Administrator.PREFIX_HANDLE),
            Administrator.restricted(1, "NOTE", "for administrators")
        };
        succeed(new CreateHandleRequest(octets(handle), values, who), transport, sessions);
        for (boolean certified : new boolean[] {false, true}) {
            ResolutionRequest request = new ResolutionRequest(octets(handle), null, null, who);
            request.ignoreRestrictedValues = false;
            request.encrypt = true;
            request.certify = certified;
            ResolutionResponse response =
                    (ResolutionResponse) succeed(request, transport, sessions);
            int[] indexes =
                    Arrays.stream(response.getHandleValues()).mapToInt(v -> v.getIndex()).toArray();
            assertArrayEquals(new int[] {100, 1}, indexes);
        }
        succeed(new DeleteHandleRequest(octets(handle), who), transport, sessions);
    }

    private static ClientSessionTracker tracker() {
        ClientSessionTracker sessions = new ClientSessionTracker();
        sessions.setSessionSetupInfo(new SessionSetupInfo());
        assertNotNull(sessions.getSessionSetupInfo());
        return sessions;
    }

    private static byte[] octets(String text) {
        return Util.encodeString(text);
    }

    private static AbstractResponse succeed(
            AbstractRequest request, Transport transport, ClientSessionTracker sessions)
            throws HandleException {
        AbstractResponse response = Node.administerInSession(request, transport, sessions);
        assertEquals(AbstractMessage.RC_SUCCESS, response.responseCode, response.toString());
        return response;
    }
}
