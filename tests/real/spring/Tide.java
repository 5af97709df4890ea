// The application of tests/real/spring.rs: Spring MVC on an embedded Tomcat, at the port in its argument.

import java.io.OutputStream;

import javax.servlet.MultipartConfigElement;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import javax.servlet.http.HttpSession;

import org.apache.catalina.Wrapper;
import org.apache.catalina.core.StandardContext;
import org.apache.catalina.startup.Tomcat;
import org.apache.catalina.valves.RemoteIpValve;
import org.springframework.stereotype.Controller;
import org.springframework.web.bind.annotation.*;
import org.springframework.web.context.support.XmlWebApplicationContext;
import org.springframework.web.multipart.MultipartFile;
import org.springframework.web.servlet.DispatcherServlet;

@Controller
public class Tide {
    @GetMapping(value = "/seen/{name}", produces = "text/plain; charset=utf-8")
    @ResponseBody
    public String seen(@PathVariable("name") String name, @RequestParam("q") String query,
            HttpServletRequest request) {
        return String.join(" ", name, query, request.getRemoteAddr(), request.getRequestURL(),
                request.isSecure() ? "secure" : "plain");
    }

    @PostMapping("/form")
    public String form(@RequestParam("name") String name, HttpSession session) {
        session.setAttribute("name", name);
        return "redirect:/taken";
    }

    @GetMapping(value = "/taken", produces = "text/plain; charset=utf-8")
    @ResponseBody
    public String taken(HttpSession session) {
        return "taken: " + session.getAttribute("name");
    }

    // The file comes back, and what else was said of it in fields.
    @PostMapping("/upload")
    public void upload(@RequestParam("note") String note, @RequestParam("file") MultipartFile file,
            HttpServletResponse response) throws Exception {
        response.setHeader("X-Note", note);
        response.setHeader("X-Name", file.getOriginalFilename());
        response.getOutputStream().write(file.getBytes());
    }

    // Its length is not known, so it is chunked.
    @GetMapping("/large")
    public void large(OutputStream out) throws Exception {
        for (int line = 0; line < 100_000; line++) {
            out.write("high water\n".getBytes());
        }
    }

    public static void main(String[] arguments) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir("tomcat");
        tomcat.setPort(Integer.parseInt(arguments[0]));
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        StandardContext site = (StandardContext) tomcat.addContext("", null);
        // `Location` is a whole address, for which Tomcat needs to know the one that the client used.
        site.setUseRelativeRedirects(false);
        RemoteIpValve proxy = new RemoteIpValve();
        proxy.setProtocolHeader("X-Forwarded-Proto");
        proxy.setPortHeader("X-Forwarded-Port");
        site.getPipeline().addValve(proxy);
        XmlWebApplicationContext beans = new XmlWebApplicationContext();
        beans.setConfigLocation("file:beans.xml");
        Wrapper servlet = Tomcat.addServlet(site, "spring", new DispatcherServlet(beans));
        servlet.setMultipartConfigElement(new MultipartConfigElement(null, -1, -1, 0));
        servlet.setLoadOnStartup(1);
        site.addServletMappingDecoded("/", "spring");
        tomcat.start();
        tomcat.getServer().await();
    }
}
